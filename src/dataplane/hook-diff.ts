/** Our rules in the kernel's own chains: are they all there, in order, and above everybody else's? */
import type { HookWrite } from './kernel-write.ts';
import type { ObservedHook } from './observed.ts';
import { identifyHook } from './observed.ts';
import { isSharedChain } from './ownership.ts';
import { renderHooks } from './restore-input.ts';
import type { BuiltinChain, Hook } from './rule.ts';

/** All of one table's hooks; only chains that need mending are in the answer. */
export function diffHooks(
  desired: readonly Hook[],
  observed: ReadonlyMap<BuiltinChain, readonly ObservedHook[]>,
): readonly HookWrite[] {
  const chains = new Set([...desired.map(({ chain }) => chain), ...observed.keys()]);
  return [...chains].flatMap((chain) => {
    const ofChain = desired.filter((hook) => hook.chain === chain);
    const write = mend(chain, ofChain, observed.get(chain) ?? []);
    return write === undefined ? [] : [write];
  });
}

/** The foreign rule is not looked at: ours are simply not at the top any more, or not in order. */
function mend(chain: BuiltinChain, desired: readonly Hook[], observed: readonly ObservedHook[]): HookWrite | undefined {
  const inserts = wantedTexts(desired, 'first');
  const appends = wantedTexts(desired, 'last');
  const wanted = new Set([...inserts, ...appends].map(idOf));
  const ours = observed.filter(({ id, target }) => !isSharedChain(target) || wanted.has(id));
  const isTopRight = inserts.every(
    (text, index) => ours[index]?.id === idOf(text) && ours[index].position === index + 1,
  );
  const rest = ours.slice(inserts.length);
  const isRestRight = rest.length === appends.length && appends.every((text, index) => rest[index]?.id === idOf(text));
  if (isTopRight && isRestRight) return undefined;
  // -D takes the first rule of its text: where the rest repeats a rule of the top, all are made anew.
  const top = new Set(inserts.map(idOf));
  if (isTopRight && !rest.some(({ id }) => top.has(id)))
    return { chain, deletes: rest.map(textOf), inserts: [], appends };
  return { chain, deletes: ours.map(textOf), inserts, appends };
}

/** Without `-A CHAIN`. */
function wantedTexts(hooks: readonly Hook[], position: Hook['position']): readonly string[] {
  const chosen = hooks.filter((hook) => hook.position === position);
  return renderHooks(chosen).map((line, index) => line.slice(`-A ${chosen[index]?.chain ?? ''} `.length));
}

function idOf(text: string): string {
  return identifyHook(text).id;
}

function textOf(hook: ObservedHook): string {
  return hook.text;
}
