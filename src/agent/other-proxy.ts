/** Whether a kube-proxy serves Services on this node: two of them would undo each other's rules. */
import { request } from 'node:http';

/** kube-proxy's health port; it answers 200 or 503 there, and always with JSON that has `nodeEligible` or `lastUpdated`. */
const healthPort = 10_256;

export function isKubeProxyAlive(port = healthPort): Promise<boolean> {
  return new Promise((resolve) => {
    const sent = request({ host: '127.0.0.1', port, path: '/healthz', timeout: 1000 }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve(body.includes('lastUpdated')));
    });
    sent.on('timeout', () => sent.destroy());
    sent.on('error', () => resolve(false));
    sent.end();
  });
}
