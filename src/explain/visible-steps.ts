/** Of all steps, those that tell people something; the whole list is in the JSON and behind `--verbose`. */
import type { TraceStep } from '../dataplane/trace/step.ts';

/** What decided or changed the packet, whom it was asked about, and policies that said nothing. */
export function isVisible(step: TraceStep): boolean {
  if (step.kind === 'end') return isPolicyChain(step.chain);
  const { action, origin } = step.rule;
  switch (action.kind) {
    case 'accept':
    case 'drop':
    case 'reject':
    case 'dnat':
    case 'masquerade':
      return true;
    case 'set-mark':
      return action.value !== 0 && !isScratch(action.value);
    case 'jump':
    case 'goto':
      if (action.chain === 'KUBE-NODEPORTS') return step.table === 'nat';
      return step.table !== 'raw' && origin.object !== undefined && !isDecisionless(action.chain);
    default:
      return false;
  }
}

function isPolicyChain(chain: string): boolean {
  return chain.startsWith('cali-pi-') || chain.startsWith('cali-po-');
}

/** Used inside one rule's match blocks. */
function isScratch(value: number): boolean {
  return (value & 0xc0000) !== 0;
}

/** A service account's profile never says anything. */
function isDecisionless(chain: string): boolean {
  return chain.startsWith('cali-pri-ksa.') || chain.startsWith('cali-pro-ksa.');
}
