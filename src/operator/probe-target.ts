/** Where a VM's gRPC port is, and how to connect. */
export interface ProbeTarget {
  readonly host: string;
  readonly port: number;
  readonly tls: "Required" | "Off";
  /** The key that the VM must show; under TLS without it, any will do. */
  readonly tlsFingerprint?: string;
}
