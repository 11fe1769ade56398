/** What went wrong between us and the API server, by what can be done about it. Pure. */
import { KubeApiError } from './kube-api-error.ts';
import type { KubeFailure } from './kube-api-error.ts';

/** What answers and ERROR events ask us to wait. */
export interface RetryAdvice {
  /** Header Retry-After, in seconds. */
  readonly header?: string | undefined;
  /** `details.retryAfterSeconds` of a Status. */
  readonly details?: unknown;
}

/** Of an answer that is not 2xx, or of a Status inside of a watch. */
export function statusError(status: number, message: string, advice: RetryAdvice = {}): KubeApiError {
  const retryAfterMs = waitOf(advice);
  return new KubeApiError(`${status} ${message}`.trim(), {
    failure: failureOf(status),
    status,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** Of a connection that could not be made, or broke. */
export function connectionError(error: unknown, server: string): KubeApiError {
  if (error instanceof KubeApiError) return error;
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
  const message = error instanceof Error ? error.message : String(error);
  if (isCertificateCode(code)) {
    const expected = "expected one of the cluster's own authority (certificate-authority of the kubeconfig)";
    return new KubeApiError(`${server}: certificates do not fit: ${message}; ${expected}`, {
      failure: 'certificate',
      cause: error,
    });
  }
  return new KubeApiError(`${server}: ${message === '' ? code : message}`, { failure: 'unreachable', cause: error });
}

function failureOf(status: number): KubeFailure {
  switch (status) {
    case 401:
      return 'unauthorized';
    case 403:
      return 'forbidden';
    case 404:
      return 'absent';
    case 410:
      return 'expired';
    default:
      return 'failed';
  }
}

function waitOf({ header, details }: RetryAdvice): number | undefined {
  const seconds = Number(header ?? details ?? Number.NaN);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
}

/** OpenSSL's verdicts on the server's certificate, and on certificates and keys of ours that cannot be read. */
function isCertificateCode(code: string): boolean {
  return (
    /^(CERT_|ERR_TLS_CERT_|ERR_OSSL_|UNABLE_TO_|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH)/.test(code) ||
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN', 'HOSTNAME_MISMATCH'].includes(code)
  );
}
