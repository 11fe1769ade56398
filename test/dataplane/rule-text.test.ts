/** A rule as text in both styles, where no golden file shows it, and when two texts are one rule. */
import { expect, test } from 'vitest';
import { normaliseKubeRule } from '../../src/dataplane/kube-rule-text.ts';
import type { Match } from '../../src/dataplane/rule.ts';
import { caliRuleText, kubeRuleText } from '../../src/dataplane/rule-text.ts';
import { drop, dst, rule } from './hand-made.ts';

/** Left as the cali chains have it, right as the KUBE chains do. */
test.each<[Match, string, string]>([
  [{ kind: 'port', side: 'source', port: 53 }, '--source-port 53', '--sport 53'],
  [{ kind: 'port', side: 'destination', port: 53 }, '--destination-port 53', '--dport 53'],
  [{ kind: 'interface', direction: 'in', name: 'v1' }, '--in-interface v1', '-i v1'],
  [{ kind: 'interface', direction: 'out', name: 'v1', negate: true }, '! --out-interface v1', '! -o v1'],
  [
    { kind: 'interface', direction: 'in', name: 'v1', physical: true },
    '-m physdev --physdev-in v1',
    '-m physdev --physdev-in v1',
  ],
  [
    { kind: 'interface', direction: 'out', name: 'v1', physical: true },
    '-m physdev --physdev-out v1',
    '-m physdev --physdev-out v1',
  ],
  [{ kind: 'icmpv6-type', type: 135 }, '-m icmp6 --icmpv6-type 135', '-m icmp6 --icmpv6-type 135'],
  [
    {
      kind: 'ports',
      side: 'destination',
      ports: [
        { first: 1, last: 1 },
        { first: 2, last: 9 },
      ],
    },
    '-m multiport --destination-ports 1,2:9',
    '-m multiport --destination-ports 1,2:9',
  ],
  [dst('fd00::1/128'), '--destination fd00::1/128', '-d fd00::1'],
])('as text: %j', (match, cali, kube) => {
  const own = rule([match], { kind: 'xor-mark', value: 0x4000 });
  expect(caliRuleText('cali-a', own, 'HASH')).toBe(`-A cali-a HASH ${cali} --jump MARK --xor-mark 0x4000`);
  expect(kubeRuleText('KUBE-A', own)).toBe(`-A KUBE-A ${kube} -j MARK --xor-mark 0x00004000`);
});

test('a comment is no longer than the kernel takes, in either style', () => {
  const own = rule([], drop, 'x'.repeat(300));
  for (const text of [caliRuleText('cali-a', own, ''), kubeRuleText('KUBE-A', own)]) {
    expect(/x+/.exec(text)?.[0]).toHaveLength(255);
  }
});

test.each([
  ['! -s 10.0.0.1 -d 10.0.0.2 -j X', '-s 10.0.0.1 ! -d 10.0.0.2 -j X'],
  ['-m comment --comment "-j X" -j Y', '-m comment --comment "-j Y" -j X'],
  ['-m comment --comment "a \\" -j Y" -j X', '-m comment --comment "a" -j X'],
  ['-m conntrack --ctstate NEW -j X', '-m conntrack --ctstate RELATED -j X'],
  ['-d fd00::1 -j X', '-d fd00::1/64 -j X'],
  ['-d 10.0.0.1 -j X', '-d 10.0.0.1/31 -j X'],
])('%s is no form of %s', (one, other) => {
  expect(normaliseKubeRule(one)).not.toBe(normaliseKubeRule(other));
});

test.each([
  ['-d fd00::1 -j X', '-d fd00::1/128 -j X'],
  ['-m tcp -p tcp -j X', '--match tcp --protocol tcp --jump X'],
  ['-m comment --comment "a \\"b\\" \\\\" -j X', '-j X -m comment --comment "a \\"b\\" \\\\"'],
])('%s is a form of %s', (one, other) => {
  expect(normaliseKubeRule(one)).toBe(normaliseKubeRule(other));
});
