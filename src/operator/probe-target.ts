/** Where a VM's gRPC port is, and how to connect. */
export interface ProbeTarget {
  readonly host: string;
  readonly port: number;
  readonly tls: "Required" | "Off";
  /** The key that the VM must show; under TLS without it, any will do. */
  readonly tlsFingerprint?: string;
}

/** Who is looked for at a VM's port, and what is asked. */
export interface ProbeQuestion extends ProbeTarget {
  /** Whether BuildKit is to be there: it is asked by its own API then. */
  readonly isBuildkit?: boolean;
  /** Whether its cache is measured, too, which costs it time. */
  readonly measures?: boolean;
}
