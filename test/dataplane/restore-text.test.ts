import { expect, test } from 'vitest';
import { ipSetRestoreText, iptablesRestoreText } from '../../src/dataplane/restore-text.ts';
import { dataplane, drop, hook, ipSet, jump, rule } from './hand-made.ts';

test('sets by name, members sorted, /0 in the halves that the kernel can hold', () => {
  const sets = [
    ipSet('z', 'hash:net', ['10.0.0.0/8', '0.0.0.0/0']),
    ipSet('a', 'hash:ip,port', ['10.0.0.2,tcp:80', '10.0.0.1,udp:53']),
    ipSet('a', 'hash:ip', ['fd00::1'], 'ipv6'),
  ];
  expect(ipSetRestoreText(dataplane({ sets })).split('\n')).toEqual([
    'create cali40a hash:ip,port family inet maxelem 65536',
    'add cali40a 10.0.0.1,udp:53',
    'add cali40a 10.0.0.2,tcp:80',
    'create cali40z hash:net family inet maxelem 65536',
    'add cali40z 0.0.0.0/1',
    'add cali40z 10.0.0.0/8',
    'add cali40z 128.0.0.0/1',
    'create cali60a hash:ip family inet6 maxelem 65536',
    'add cali60a fd00::1',
    '',
  ]);
  expect(ipSetRestoreText(dataplane({ sets }), 'ipv6').split('\n')).toHaveLength(3);
});

test('a set that outgrows the default is made with room to grow', () => {
  const members = Array.from(
    { length: 60_000 },
    (_, index) => `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`,
  );
  const text = ipSetRestoreText(dataplane({ sets: [ipSet('big', 'hash:net', members)] }));
  expect(text.split('\n')[0]).toBe('create cali40big hash:net family inet maxelem 131072');
});

test("tables in the kernel's order, chains by name, hooks last, a blank line between tables", () => {
  const made = dataplane({
    chains: { filter: { 'cali-b': [rule([], drop)], 'cali-a': [rule([], jump('cali-b'))] }, raw: { 'cali-r': [] } },
    hooks: [
      hook('filter', 'FORWARD', rule([], jump('cali-a'))),
      hook('filter', 'FORWARD', rule([], jump('cali-b')), 'last'),
    ],
  });
  const text = iptablesRestoreText(made, 'ipv4');
  expect(text.replaceAll(/ -m comment --comment "cali:\S{16}"/g, '')).toBe(
    [
      '*raw',
      ':cali-r - -',
      'COMMIT',
      '',
      '*filter',
      ':cali-a - -',
      ':cali-b - -',
      '-A cali-a --jump cali-b',
      '-A cali-b --jump DROP',
      '-I FORWARD --jump cali-a',
      '-A FORWARD --jump cali-b',
      'COMMIT',
      '',
    ].join('\n'),
  );
});

test('hooks to the top come in reverse, so that the first of the list is above the others', () => {
  const hooks = ['cali-a', 'cali-b', 'cali-c'].map((name) => hook('filter', 'INPUT', rule([], jump(name))));
  const lines = iptablesRestoreText(dataplane({ hooks }), 'ipv4').split('\n');
  const targets = lines.filter((line) => line.startsWith('-I')).map((line) => line.split(' ').at(-1));
  expect(targets).toEqual(['cali-c', 'cali-b', 'cali-a']);
});

test('hooks stand by chain, in whatever order they are wanted', () => {
  const hooks = (['OUTPUT', 'FORWARD', 'INPUT'] as const).map((chain) =>
    hook('filter', chain, rule([], jump('cali-a'))),
  );
  const chains = [hooks, hooks.toReversed()].map((order) =>
    iptablesRestoreText(dataplane({ hooks: order }), 'ipv4')
      .split('\n')
      .flatMap((line) => /^-I (\S+)/.exec(line)?.[1] ?? []),
  );
  expect(chains).toEqual([
    ['FORWARD', 'INPUT', 'OUTPUT'],
    ['FORWARD', 'INPUT', 'OUTPUT'],
  ]);
});

test('nothing of ours, nothing to load', () => {
  expect(iptablesRestoreText(dataplane({}), 'ipv6')).toBe('');
  expect(ipSetRestoreText(dataplane({}))).toBe('');
});
