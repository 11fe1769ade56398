import { expect, test } from 'vitest';
import { lackedBy } from '../../src/backends/privilege.ts';

const all = '000001ffffffffff';
const none = '0000000000000000';
/** NET_ADMIN and NET_RAW: what the chart gives. */
const two = '0000000000003000';
const status = (effective: string, ambient: string) => `Name:\tnode\nCapEff:\t${effective}\nCapAmb:\t${ambient}\n`;

test.each<[string, number, string, string | undefined]>([
  ['root', 0, status(all, none), undefined],
  ['root in a container with the two that are needed', 0, status(two, none), undefined],
  ['root in a container without them', 0, status('00000000a80425fb', none), 'the capability NET_ADMIN'],
  ['root where /proc says nothing', 0, '', undefined],
  ['somebody', 1000, status(none, none), 'root'],
  ['somebody who has it and cannot pass it on', 1000, status(two, none), 'root'],
  ['somebody whose programs inherit it', 1000, status(two, two), undefined],
  ['somebody where /proc says nothing', 1000, '', 'root'],
])('%s', (_who, uid, text, expected) => {
  expect(lackedBy(uid, text)).toBe(expected);
});
