/** Writes objects to the API server as its administrator, hundreds a second. */
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import type { ControlPlane } from '../cluster/control-plane.ts';

export class Admin {
  readonly #plane: ControlPlane;
  readonly #agent: Agent;

  constructor(plane: ControlPlane) {
    this.#plane = plane;
    const admin = (name: string) => readFileSync(`${plane.directory}/pki/${name}`);
    this.#agent = new Agent({
      keepAlive: true,
      maxSockets: 16,
      ca: readFileSync(plane.authority.certificate),
      cert: admin('admin.pem'),
      key: admin('admin-key.pem'),
    });
  }

  async create(path: string, object: object): Promise<void> {
    await this.#ask('POST', path, object);
  }

  async patch(path: string, change: object): Promise<void> {
    await this.#ask('PATCH', path, change);
  }

  async delete(path: string): Promise<void> {
    await this.#ask('DELETE', path, { gracePeriodSeconds: 0 });
  }

  /** Milliseconds until the API server answers to a question on a connection that is open. */
  async roundTrip(): Promise<number> {
    const started = performance.now();
    await this.#ask('PATCH', '/api/v1/namespaces/demo', {});
    return performance.now() - started;
  }

  /** Many at once; resolves when all are there. */
  async createAll(path: string, count: number, object: (index: number) => object): Promise<void> {
    let next = 0;
    const work = async (): Promise<void> => {
      while (next < count) {
        next += 1;
        await this.create(path, object(next - 1));
      }
    };
    await Promise.all(Array.from({ length: 16 }, work));
  }

  /** Asks as a service account, several times at once and without a pause, until the answer is called; whatever comes of it. */
  occupy(account: string): () => void {
    const asks = { busy: true };
    const headers = { 'impersonate-user': `system:serviceaccount:kube-system:${account}` };
    const ask = (): void => {
      const sent = request(`${this.#plane.url}/api/v1/pods`, { agent: this.#agent, headers }, (response) => {
        response.resume();
        response.on('end', () => void (asks.busy && ask()));
      });
      sent.on('error', () => void (asks.busy && ask()));
      sent.end();
    };
    for (let index = 0; index < 8; index += 1) ask();
    return () => {
      asks.busy = false;
    };
  }

  close(): void {
    this.#agent.destroy();
  }

  #ask(method: 'POST' | 'PATCH' | 'DELETE', path: string, body: object): Promise<void> {
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const text = JSON.stringify(body);
    // node would send the body of a DELETE without saying how long it is.
    const headers = { 'content-type': type, 'content-length': Buffer.byteLength(text) };
    return new Promise((resolve, reject) => {
      const sent = request(`${this.#plane.url}${path}`, { method, agent: this.#agent, headers }, (response) => {
        let answer = '';
        response.setEncoding('utf8');
        response.on('data', (piece: string) => {
          answer += piece;
        });
        response.on('end', () => {
          const { statusCode = 0 } = response;
          if (statusCode >= 200 && statusCode < 300) resolve();
          else reject(new Error(`${method} ${path}: ${statusCode} ${answer.slice(0, 300)}`));
        });
      });
      sent.on('error', reject);
      sent.end(text);
    });
  }
}
