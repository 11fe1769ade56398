/** One object that cannot be rendered must not take the others with it. */
import type { Chain } from '../dataplane/rule.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';

export type Rendered =
  | { readonly chains: readonly Chain[] }
  | { readonly chains?: undefined; readonly diagnostic: Diagnostic };

export function tryRender(object: string, render: () => readonly Chain[]): Rendered {
  try {
    return { chains: render() };
  } catch (error: unknown) {
    const reason = error instanceof Error ? error.message : String(error);
    return { diagnostic: { severity: 'error', object, message: `could not be rendered, and stays closed: ${reason}` } };
  }
}
