/** The little of a Kubernetes API server that kube-proxy and our agent ask for: list and watch of what a bench holds, over HTTP on loopback. */
import { writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { KubernetesObject } from './kubernetes-objects.ts';

export type WatchEvent = 'ADDED' | 'MODIFIED' | 'DELETED';

interface Collection {
  readonly kind: string;
  readonly apiVersion: string;
  readonly objects: Map<string, KubernetesObject>;
  readonly watchers: Set<ServerResponse>;
}

/** Path of a list to the kind of its objects. */
const kinds: Readonly<Record<string, string>> = {
  '/api/v1/namespaces': 'Namespace',
  '/api/v1/nodes': 'Node',
  '/api/v1/pods': 'Pod',
  '/api/v1/services': 'Service',
  '/apis/discovery.k8s.io/v1/endpointslices': 'EndpointSlice',
  '/apis/networking.k8s.io/v1/networkpolicies': 'NetworkPolicy',
  '/apis/networking.k8s.io/v1/servicecidrs': 'ServiceCIDR',
};

export class FakeApi {
  readonly #collections = new Map<string, Collection>();
  readonly #server = createServer((request, response) => this.#answer(request, response));
  #revision = 1;

  constructor(objects: Iterable<KubernetesObject>) {
    for (const [path, kind] of Object.entries(kinds)) {
      const apiVersion = path.replace(/^\/apis?\//, '').replace(/\/[^/]+$/, '');
      this.#collections.set(path, { kind, apiVersion, objects: new Map(), watchers: new Set() });
    }
    for (const object of objects) this.#collectionOf(object).objects.set(keyOf(object), object);
  }

  /** Answers the server's URL. */
  async listen(): Promise<string> {
    await new Promise<void>((resolve) => {
      this.#server.listen({ host: '127.0.0.1', port: 0 }, resolve);
    });
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on a port
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Told to everybody who watches, at once. */
  tell(type: WatchEvent, object: KubernetesObject): void {
    const { objects, watchers } = this.#collectionOf(object);
    this.#revision += 1;
    const told = { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#revision) } };
    if (type === 'DELETED') objects.delete(keyOf(object));
    else objects.set(keyOf(object), told);
    const line = `${JSON.stringify({ type, object: told })}\n`;
    for (const watcher of watchers) watcher.write(line);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #collectionOf({ kind }: KubernetesObject): Collection {
    const found = [...this.#collections.values()].find((collection) => collection.kind === kind);
    if (found === undefined) throw new Error(`the bench's API server holds no ${kind}`);
    return found;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', 'http://localhost');
    response.setHeader('content-type', 'application/json');
    const collection = this.#collections.get(url.pathname);
    if (collection !== undefined && url.searchParams.get('watch') !== null) {
      this.#watch(collection, url.searchParams.get('sendInitialEvents') === 'true', response);
    } else if (collection !== undefined) {
      const { kind, apiVersion, objects } = collection;
      const metadata = { resourceVersion: String(this.#revision) };
      response.end(JSON.stringify({ kind: `${kind}List`, apiVersion, metadata, items: [...objects.values()] }));
    } else this.#answerOne(url.pathname, request, response);
  }

  /** `isWhole`: everything that is there comes first, and a bookmark says that it was all (a list by watch). */
  #watch({ kind, apiVersion, objects, watchers }: Collection, isWhole: boolean, response: ServerResponse): void {
    response.writeHead(200);
    response.flushHeaders();
    if (isWhole) {
      const added = [...objects.values()].map((object) => ({ type: 'ADDED', object }));
      const annotations = { 'k8s.io/initial-events-end': 'true' };
      const end = { kind, apiVersion, metadata: { resourceVersion: String(this.#revision), annotations } };
      const events = [...added, { type: 'BOOKMARK', object: end }];
      response.write(events.map((event) => `${JSON.stringify(event)}\n`).join(''));
    }
    watchers.add(response);
    response.on('close', () => watchers.delete(response));
  }

  #answerOne(path: string, request: IncomingMessage, response: ServerResponse): void {
    const slash = path.lastIndexOf('/');
    const object = this.#collections.get(path.slice(0, slash))?.objects.get(`/${path.slice(slash + 1)}`);
    if (object !== undefined) response.end(JSON.stringify(object));
    else if (request.method === 'POST') request.pipe(response.writeHead(201));
    else {
      response.writeHead(404);
      response.end(
        JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'NotFound', code: 404 }),
      );
    }
  }
}

/** Answers the path of a file in `directory` that leads to `server`. */
export function writeKubeconfig(directory: string, server: string): string {
  const file = join(directory, 'kubeconfig');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'bench',
    contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'bench' } }],
    clusters: [{ name: 'bench', cluster: { server } }],
    users: [{ name: 'bench', user: {} }],
  };
  writeFileSync(file, JSON.stringify(config));
  return file;
}

function keyOf({ metadata }: KubernetesObject): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}
