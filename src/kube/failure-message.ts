/** A failure of the API server as one line for people: what is missing, and what to do. */
import type { KubeApiError } from './kube-api-error.ts';
import type { Resource } from './resources.ts';

export interface FailureContext {
  readonly server: string;
  /** The kind was known once: what is known stays in force. */
  readonly isKnown: boolean;
}

export function failureMessage(error: KubeApiError, resource: Resource, { server, isKnown }: FailureContext): string {
  const { plural, group } = resource;
  const outcome = isKnown ? 'what is known of them stays in force' : 'what should be protected is not known yet';
  const what = `${plural} cannot be followed`;
  switch (error.failure) {
    case 'forbidden': {
      const rule = `apiGroups: ["${group}"], resources: ["${plural}"], verbs: ["list", "watch"]`;
      return `${what}: no permission to list and watch ${plural}; expected a ClusterRole with ${rule}; ${outcome}`;
    }
    case 'unauthorized':
      return `${what}: ${server} does not accept our credentials (401); ${outcome}`;
    case 'absent':
      return `${what}: ${server} knows no ${resource.path} (404); ${outcome}`;
    default:
      return `${what}: ${error.message}; ${outcome}`;
  }
}
