/** Whatever an object is called, nothing of it leaves its place in the text of a restore. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { chainName } from '../../src/dataplane/names.ts';
import { renderChain } from '../../src/dataplane/render.ts';
import type { Chain } from '../../src/dataplane/rule.ts';

const hostile = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 400 }),
  fc.constantFrom('a"b', "a'b", 'a\nCOMMIT\n*filter', 'a\\', 'ü–漢', '`reboot`', '$(reboot)', '\0', '-j ACCEPT'),
);

test.each(['cali', 'kube'] as const)('%s rules: one line, closed quotes, plain characters', (style) => {
  fc.assert(
    fc.property(fc.array(hostile, { minLength: 1, maxLength: 3 }), (comments) => {
      const rule = {
        matches: [],
        action: { kind: 'drop' },
        comments,
        origin: { object: 'NetworkPolicy a/b' },
      } as const;
      const chain: Chain = { name: chainName('cali-pi-x'), style, rules: [rule] };
      const lines = renderChain(chain);
      expect(lines).toHaveLength(1);
      const [line = ''] = lines;
      const jump = style === 'cali' ? '--jump' : '-j';
      const word = String.raw`"[\w @%+=:,./;>\[\]-]{0,255}"|[\w/.:-]{1,255}`;
      expect(line).toMatch(new RegExp(`^-A cali-pi-x( -m comment --comment (${word}))+ ${jump} DROP$`));
    }),
  );
});
