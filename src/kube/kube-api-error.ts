/** The API server refused, failed, or could not be reached. */

export type KubeFailure =
  /** No connection, or one that broke. */
  | 'unreachable'
  /** An answer began, and stopped coming: perhaps the connection leads nowhere any more. */
  | 'silent'
  /** Its certificate is not one that we may trust: a person must act. */
  | 'certificate'
  /** 401 */
  | 'unauthorized'
  /** 403 */
  | 'forbidden'
  /** 404: the API server knows no such kind. */
  | 'absent'
  /** 410: the version to go on from is too old. */
  | 'expired'
  /** 429 and 5xx, or what is not an answer of an API server. */
  | 'failed';

export interface KubeApiErrorOptions extends ErrorOptions {
  readonly failure: KubeFailure;
  readonly status?: number;
  /** What the API server asks us to wait. */
  readonly retryAfterMs?: number;
}

export class KubeApiError extends Error {
  override readonly name = 'KubeApiError';
  readonly failure: KubeFailure;
  readonly status: number | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(message: string, { failure, status, retryAfterMs, ...options }: KubeApiErrorOptions) {
    super(message, options);
    this.failure = failure;
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

/** A kubeconfig, or what takes its place inside of a pod, cannot be used. */
export class KubeConfigError extends Error {
  override readonly name = 'KubeConfigError';
}
