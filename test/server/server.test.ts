import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { NetworkPolicy } from '../../src/cluster/objects.ts';
import { ClusterStore } from '../../src/cluster/state.ts';
import type { CompileOptions } from '../../src/compile/options.ts';
import type { NodeFacts } from '../../src/dataplane/endpoint-binding.ts';
import { parseIp } from '../../src/lib/ip.ts';
import type { IpAddress } from '../../src/lib/ip.ts';
import { apiApp, healthApp } from '../../src/server/app.ts';
import { AddressInUseError, listenOnPort, listenOnSocket } from '../../src/server/listen.ts';
import { decodeCompilerInput, decodeState, encodeState } from '../../src/server/state-codec.ts';
import { agentView } from './agent-view.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-server-'));
afterAll(() => rmSync(directory, { recursive: true }));

const policy: NetworkPolicy = {
  kind: 'NetworkPolicy',
  name: 'allow-db-access',
  namespace: 'default',
  podSelector: { matchLabels: { app: 'db' }, matchExpressions: [] },
  isolatesIngress: true,
  isolatesEgress: false,
  ingress: [],
  egress: [],
  location: { file: 'policy.yaml', line: 3, lines: new Map([['spec', 7]]) },
};

describe('health', () => {
  test.each(['/healthz', '/livez', '/readyz'])('%s is ok at rest', async (path) => {
    const response = await healthApp(agentView()).request(path);
    expect([response.status, await response.text()]).toEqual([200, 'ok\n']);
  });

  const waiting = agentView({ parts: [{ part: 'source' }, { part: 'kernel', reason: 'restore failed 3 times' }] });

  test('/readyz names the part that is not ready, and why', async () => {
    const response = await healthApp(waiting).request('/readyz');
    expect([response.status, await response.text()]).toEqual([503, 'kernel: restore failed 3 times\n']);
  });

  test('an agent that is not ready still lives', async () => {
    expect((await healthApp(waiting).request('/livez')).status).toBe(200);
  });

  test('/metrics is Prometheus text', async () => {
    const response = await healthApp(agentView()).request('/metrics');
    expect(response.headers.get('content-type')).toContain('text/plain');
    expect(await response.text()).toContain('# TYPE sluice_drift_repairs_total counter');
  });
});

describe('api', () => {
  test('/api/state gives the objects back as they were', async () => {
    const state = new ClusterStore();
    state.apply([{ type: 'set', object: policy }]);
    const response = await apiApp(agentView({ state })).request('/api/state');
    const decoded = decodeState(await response.json());
    expect(decoded?.networkPolicies.get('default/allow-db-access')).toEqual(policy);
  });

  test('a state of another format is not read', () => {
    expect(decodeState({ ...encodeState(new ClusterStore()), format: 99 })).toBeUndefined();
    expect(decodeState('state')).toBeUndefined();
  });

  test('/api/compiler gives what the node knows of itself', async () => {
    const facts: NodeFacts = {
      bindings: new Map(ips('10.0.0.1').map((address) => [address, { kind: 'routed', interface: 'cali1' }] as const)),
      nodeAddresses: ips('192.0.2.1'),
      conntrackLiberal: false,
    };
    const options: CompileOptions = {
      nodeName: 'minikube',
      ipFamilies: ['ipv4'],
      podStart: 'closed',
      established: 'cut',
      hostEgress: 'policed',
      hostEndpointAction: 'return',
      invalidDrop: true,
      interfacePrefixes: [],
    };
    const response = await apiApp(agentView({ compilerInput: { options, facts } })).request('/api/compiler');
    expect(decodeCompilerInput(await response.json())).toEqual({ options, facts });
  });

  test('before the node was looked at, there is nothing to compile with', async () => {
    const response = await apiApp(agentView()).request('/api/compiler');
    expect(decodeCompilerInput(await response.json())).toBeUndefined();
  });

  test('members of sets are sorted', async () => {
    const set = {
      name: 'cali40s:x',
      family: 'ipv4' as const,
      type: 'hash:net' as const,
      members: new Set(['10.0.0.2', '10.0.0.1']),
      origin: {},
    };
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the name's brand does not matter here
    const ipSets = [set as never];
    const response = await apiApp(agentView({ ipSets })).request('/api/ipsets');
    expect(await response.json()).toMatchObject({ ipSets: [{ members: ['10.0.0.1', '10.0.0.2'] }] });
  });

  test('one pod can be asked about', async () => {
    const one = { pod: 'a/b', addresses: [], programmed: true, programmedSince: '2026-01-01T00:00:00.000Z' };
    const endpoints = [{ ...one, ingress: [], egress: [], profiles: [] }];
    const app = apiApp(agentView({ endpoints: { appliedRevision: 1, endpoints } }));
    expect(await (await app.request('/api/endpoints/a/b')).json()).toMatchObject(one);
    const missing = await app.request('/api/endpoints/a/c');
    expect([missing.status, await missing.json()]).toEqual([404, { error: 'no pod a/c is policed on node minikube' }]);
  });

  test('an unknown path is 404 with a reason', async () => {
    const response = await apiApp(agentView()).request('/api/nothing');
    expect([response.status, await response.json()]).toEqual([404, { error: 'no such path: /api/nothing' }]);
  });

  test('nothing can be written', async () => {
    expect((await apiApp(agentView()).request('/api/state', { method: 'POST' })).status).toBe(404);
  });
});

describe('sockets', () => {
  const app = apiApp(agentView());

  test('the socket is for its owner alone and answers', async () => {
    const path = join(directory, 'run', 'sluice.sock');
    const listener = await listenOnSocket(app, path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(await get({ socketPath: path, path: '/api/status' })).toContain('"node":"minikube"');
    await listener.close();
    expect(existsSync(path)).toBe(false);
  });

  test('the socket of a live agent is refused, and goes on answering', async () => {
    const path = join(directory, 'live.sock');
    const listener = await listenOnSocket(app, path);
    await expect(listenOnSocket(app, path)).rejects.toThrow(AddressInUseError);
    expect(await get({ socketPath: path, path: '/api/status' })).toContain('minikube');
    await listener.close();
  });

  test('what a dead agent left is replaced', async () => {
    const path = join(directory, 'dead.sock');
    writeFileSync(path, '');
    const listener = await listenOnSocket(app, path);
    expect(await get({ socketPath: path, path: '/api/status' })).toContain('minikube');
    await listener.close();
  });

  test('a port in use is named', async () => {
    const first = await listenOnPort(app, 0, '127.0.0.1');
    const port = typeof first.address === 'object' ? (first.address?.port ?? 0) : 0;
    await expect(listenOnPort(app, port, '127.0.0.1')).rejects.toThrow(
      `port ${port} of 127.0.0.1: already in use by another process`,
    );
    await first.close();
  });

  test('close does not wait for idle connections', async () => {
    const path = join(directory, 'idle.sock');
    const listener = await listenOnSocket(app, path);
    const idle = connect({ path });
    await new Promise((resolve) => {
      idle.once('connect', resolve);
    });
    const started = performance.now();
    await listener.close();
    expect(performance.now() - started).toBeLessThan(2000);
    idle.destroy();
  });
});

function get(options: { readonly socketPath: string; readonly path: string }): Promise<string> {
  return new Promise((resolve, reject) => {
    request(options, (response) => {
      response.setEncoding('utf8');
      let body = '';
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve(body));
    })
      .on('error', reject)
      .end();
  });
}

function ips(...texts: readonly string[]): readonly IpAddress[] {
  return texts.flatMap((text) => parseIp(text) ?? []);
}
