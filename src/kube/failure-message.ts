/** A failure of the API server as one line for people: what is missing, and what to do. */
import type { KubeApiError } from './kube-api-error.ts';
import type { Resource } from './resources.ts';

export function failureMessage(
  error: KubeApiError,
  { plural, group, path }: Resource,
  { server }: { readonly server: string },
): string {
  const what = `${plural} cannot be read`;
  switch (error.failure) {
    case 'forbidden': {
      const rule = `apiGroups: ["${group}"], resources: ["${plural}"], verbs: ["list", "watch"]`;
      return `${what}: no permission to list and watch ${plural}; expected a ClusterRole with ${rule}`;
    }
    case 'unauthorized':
      return `${what}: ${server} does not accept our credentials (401)`;
    case 'absent':
      return `${what}: ${server} knows no ${path} (404)`;
    default:
      return `${what}: ${error.message}`;
  }
}
