/** Flags of `proxy` and `run` about the router and who calls. */
export interface RouterFlags {
  readonly router?: string;
  readonly via: "auto" | "service" | "port-forward";
  readonly routerNamespace?: string;
  readonly tls?: boolean;
  readonly ca?: string;
  readonly serverName?: string;
  readonly clientCert?: string;
  readonly clientKey?: string;
  readonly serviceAccount?: string;
  readonly tokenFile?: string;
  readonly tokenFrom?: string;
  readonly tokenAudience?: string;
  readonly insecureCleartext?: boolean;
}
