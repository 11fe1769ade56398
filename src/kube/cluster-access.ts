/** Where an API server is, and what we show it. */
export interface ClusterAccess {
  /** `https://10.96.0.1:443`, without a slash at the end. */
  readonly server: string;
  /** For the next request: files are read, and plugins asked, again where that is due. Rejects with KubeConfigError. */
  credentials(): Promise<Credentials>;
  /** The API server refused what it was shown: nothing that is remembered is good any more. */
  forget(): void;
}

export interface Credentials {
  readonly tls: TlsOptions;
  readonly headers: Readonly<Record<string, string>>;
}

/** Certificates and keys are PEM. */
export interface TlsOptions {
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  /** Name in the server's certificate, where it is not the host of the address. */
  readonly servername?: string;
  /** false: any certificate will do. */
  readonly rejectUnauthorized?: boolean;
}
