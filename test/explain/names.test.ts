import { expect, test } from 'vitest';
import type { Parsed } from '../../src/explain/names.ts';
import { nameOfParty, parseParty, parsePods, parseTarget } from '../../src/explain/names.ts';
import { parseQuestion } from '../../src/explain/question.ts';
import { namespace, node, pod, service, stateOf } from './cluster-fixture.ts';

const state = stateOf([
  namespace('demo'),
  node('a', ['192.0.2.1'], ['10.88.0.0/24']),
  pod('demo/web-1', 'a', ['10.88.0.11'], { deployment: 'web', phase: 'Running' }),
  pod('demo/web-0', 'a', ['10.88.0.10'], { deployment: 'web', phase: 'Succeeded' }),
  pod('demo/db', 'b', ['10.88.1.10'], {
    ports: [
      { name: 'pg', port: 5432, protocol: 'TCP' },
      { name: 'dns', port: 53, protocol: 'UDP' },
    ],
  }),
  pod('default/web', 'a', ['10.88.0.12']),
  service('demo/db', '10.96.0.1', {
    ports: [{ name: 'pg', protocol: 'TCP', port: 5432, targetPort: 5432, nodePort: 0 }],
  }),
  service('demo/alias', '10.96.0.2', { type: 'ExternalName', externalName: 'example.com' }),
]);
const demo = { state, namespace: 'demo' };

test.each([
  ['demo/db', 'demo/db'],
  ['db', 'demo/db'],
  ['default/web', 'default/web'],
  ['web', 'demo/web-1'],
  ['svc/demo/db', 'svc/demo/db'],
  ['svc/db', 'svc/demo/db'],
  ['node/a', 'node/a'],
  ['node/b', 'node/b'],
  ['outside', 'outside'],
  ['10.88.0.12', '10.88.0.12'],
  ['fd00::1', 'fd00::1'],
  ['[fd00::1]', 'fd00::1'],
])('%s is %s', (text, expected) => {
  expect(named(parseParty(text, demo))).toBe(expected);
});

test.each([
  ['demo/dbx', 'no pod and no Deployment is called demo/dbx; did you mean demo/db?'],
  ['demo/webb', 'no pod and no Deployment is called demo/webb; did you mean demo/web or demo/web-0 or demo/web-1?'],
  ['zzzzzzzz', 'no pod and no Deployment is called demo/zzzzzzzz'],
  ['other/db', 'no pod and no Deployment is called other/db; did you mean demo/db?'],
  ['svc/demo/bd', 'no Service is called demo/bd; did you mean svc/demo/db?'],
  ['node/c', 'no node is called c; did you mean node/a or node/b?'],
  ['a/b/c', '"a/b/c" is not a name: expected NS/NAME, svc/NS/NAME, node/NAME, outside or an address'],
  ['demo/', '"demo/" is not a name: expected NS/NAME, svc/NS/NAME, node/NAME, outside or an address'],
  ['', 'a name is missing: expected NS/NAME, svc/NS/NAME, node/NAME, outside or an address'],
])('%s is refused', (text, expected) => {
  expect(message(parseParty(text, demo))).toBe(expected);
});

test.each([
  ['db:5432', 'demo/db 5432/TCP'],
  ['db:pg', 'demo/db 5432/TCP'],
  ['db:dns', 'demo/db 53/UDP'],
  ['db:53/udp', 'demo/db 53/UDP'],
  ['db:9/SCTP', 'demo/db 9/SCTP'],
  ['svc/demo/db:pg', 'svc/demo/db 5432/TCP'],
  ['10.88.0.12:80', '10.88.0.12 80/TCP'],
  ['[fd00::1]:80/UDP', 'fd00::1 80/UDP'],
  ['node/a:30080', 'node/a 30080/TCP'],
  ['outside:443', 'outside 443/TCP'],
])('target %s is %s', (text, expected) => {
  const target = parseTarget(text, demo);
  expect(target.ok && `${nameOfParty(target.value.party)} ${target.value.port}/${target.value.protocol}`).toBe(
    expected,
  );
});

test.each([
  ['db', '"db" has no port: expected TO:PORT[/PROTO], for example demo/db:5432, svc/demo/web:80/TCP or [fd00::1]:80'],
  [
    'fd00::1:80',
    '"fd00::1:80" has no port: expected TO:PORT[/PROTO], for example demo/db:5432, svc/demo/web:80/TCP or [fd00::1]:80',
  ],
  ['db:http', 'demo/db has no port called http: its ports are pg, dns'],
  ['db:pg/UDP', 'demo/db has no port called pg/UDP: its ports are pg, dns'],
  ['default/web:http', 'default/web has no port called http: it has no named ports'],
  ['db:0', 'port 0 is out of range: expected 1 to 65535'],
  ['db:65536', 'port 65536 is out of range: expected 1 to 65535'],
  ['db:80/ICMP', '"ICMP" is not a protocol: expected TCP, UDP or SCTP'],
])('target %s is refused', (text, expected) => {
  expect(message(parseTarget(text, demo))).toBe(expected);
});

test('a Service begins no connection', () => {
  expect(message(parseQuestion('svc/db', 'db:80', demo))).toBe(
    'svc/demo/db cannot begin a connection: name one of its pods',
  );
});

test('a Deployment stands for all its pods where many are wanted', () => {
  const pods = parsePods('web', demo);
  expect(pods.ok && pods.value.map(({ name }) => name)).toEqual(['web-1', 'web-0']);
  const one = parsePods('db', demo);
  expect(one.ok && one.value.map(({ name }) => name)).toEqual(['db']);
  expect(message(parsePods('node/a', demo))).toBe('"node/a" is not a pod: expected NS/NAME of a pod or a Deployment');
});

function named(parsed: ReturnType<typeof parseParty>): string {
  return parsed.ok ? nameOfParty(parsed.value) : parsed.message;
}

function message(parsed: Parsed<unknown>): string {
  return parsed.ok ? 'was accepted' : parsed.message;
}
