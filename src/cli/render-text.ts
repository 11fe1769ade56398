import type { Dataplane } from '../dataplane/dataplane.ts';
import { ipSetRestoreText, iptablesRestoreText } from '../dataplane/restore-text.ts';

/** The text for the three restore programs, in the order in which they are run. */
export function renderText(dataplane: Dataplane, only?: 'ipset' | 'v4' | 'v6'): string {
  const parts = {
    ipset: () => ipSetRestoreText(dataplane),
    v4: () => iptablesRestoreText(dataplane, 'ipv4'),
    v6: () => iptablesRestoreText(dataplane, 'ipv6'),
  };
  if (only !== undefined) return parts[only]();
  return `${parts.ipset()}${parts.v4()}${parts.v6()}`;
}
