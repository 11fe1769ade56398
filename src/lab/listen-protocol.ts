/** What servers.ts and listen.ts say to each other. */

export interface ListenRequest {
  readonly protocol: 'TCP' | 'UDP';
  readonly port: number;
  /** `::` for every address. */
  readonly address: string;
}

export type ListenAnswer = (ListenRequest & { readonly error?: string }) | { readonly done: true };
