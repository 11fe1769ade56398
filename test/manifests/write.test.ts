import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { clusterDefaults } from '../../src/manifests/defaults.ts';
import { ClusterFiller } from '../../src/manifests/fill.ts';
import { mergeFiles } from '../../src/manifests/merge.ts';
import { parseManifest } from '../../src/manifests/parse.ts';
import { manifestText } from '../../src/manifests/write.ts';
import { manifestTexts } from './arbitrary.ts';
import { byIdentity, fill, withoutLocation } from './read.ts';

const dualStack = clusterDefaults({ ipFamilies: ['ipv4', 'ipv6'] });

test('a complete cluster reads back as it was, places and all, and nothing more is filled in', () => {
  fc.assert(
    fc.property(manifestTexts, (texts) => {
      const { objects } = mergeFiles(
        new Map(texts.map((text, at) => [`${at}.yaml`, parseManifest(text, `${at}.yaml`)])),
      );
      const complete = new ClusterFiller(dualStack).fill(objects).objects;
      const again = parseManifest(manifestText(complete), 'lab.yaml');
      expect(again.diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
      // Other defaults on the reading side change nothing, because nothing is left to fill in.
      const other = clusterDefaults({ ipFamilies: ['ipv4'] });
      const read = byIdentity(new ClusterFiller(other).fill(again.objects).objects);
      const expected = byIdentity(complete);
      expect([...read.keys()].toSorted()).toEqual([...expected.keys()].toSorted());
      for (const [identity, object] of expected) {
        const found = read.get(identity);
        // What the filler made up has no place of its own, so the place where it was read is the only one.
        expect(object.location === undefined && found !== undefined ? withoutLocation(found) : found).toEqual(object);
      }
    }),
    { numRuns: 400 },
  );
}, 60_000);

test('a malformed policy is still one when it is read back, with its mistake in the file of the user', () => {
  const policies = fill(`apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db}
spec:
  podSelector: {}
  ingress: [{ports: [{port: 0}]}]
`);
  const written = policies.get('NetworkPolicy default/db');
  if (written === undefined) throw new Error('the policy is there');
  const again = parseManifest(manifestText([written]), 'lab.yaml');
  expect(again.objects).toEqual([written]);
  expect(again.objects).toMatchObject([{ malformed: { path: 'spec.ingress[0].ports[0].port', line: 6 } }]);
});

test('the text of a pod', () => {
  const pod = fill(`apiVersion: v1
kind: Pod
metadata: {name: web, labels: {on: "yes"}}
spec: {nodeName: n1, containers: [{ports: [{containerPort: 80, name: http}]}, {ports: [{containerPort: 81, name: http}]}]}
status: {podIP: 10.0.0.1}
`).get('Pod default/web');
  expect(pod).toBeDefined();
  if (pod === undefined) return;
  const { location: _location, ...bare } = pod;
  expect(manifestText([bare])).toBe(`apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: default
  labels:
    "on": "yes"
spec:
  nodeName: n1
  serviceAccountName: default
  containers:
    - name: container-0
      ports:
        - name: http
          containerPort: 80
          protocol: TCP
    - name: container-1
      ports:
        - name: http
          containerPort: 81
          protocol: TCP
status:
  phase: Running
  podIPs:
    - ip: 10.0.0.1
  conditions:
    - type: Ready
      status: "True"
`);
});
