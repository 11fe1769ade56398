/** What the agent answers: health and metrics for the cluster's machinery, /api for the command line. All of it is read-only. */
import { Hono } from 'hono';
import type { ClusterState } from '../cluster/state.ts';
import type { IpSet } from '../dataplane/rule.ts';
import type { PartStatus } from '../telemetry/readiness.ts';
import type { AgentStatus, DiagnosticList, EndpointList } from '../telemetry/status.ts';
import { encodeCompilerInput, encodeState } from './state-codec.ts';
import type { NodeHealth } from './node-health.ts';
import { nodeHealthResponse } from './node-health.ts';
import type { CompilerInput } from './state-codec.ts';

/** What the server may read of the agent; snapshots, never the loop. */
export interface AgentView {
  readonly parts: readonly PartStatus[];
  readonly metricsContentType: string;
  metricsText(): Promise<string>;
  readonly state: ClusterState;
  readonly status: AgentStatus;
  /** Absent: Services are somebody else's, and so are the balancers' questions. */
  readonly nodeHealth?: NodeHealth | undefined;
  readonly endpoints: EndpointList;
  readonly diagnostics: DiagnosticList;
  readonly ipSets: Iterable<IpSet>;
  /** Absent until the node was looked at. */
  readonly compilerInput: CompilerInput | undefined;
  /** The text that `sluice render` prints, of what is desired now. */
  renderText(): string;
}

/** /healthz, /livez, /readyz and /metrics. */
export function healthApp(view: AgentView): Hono {
  const app = proxyHealthApp(view);
  // The process answers, so it lives: a kernel that refuses is no reason to restart and lose the rules' caretaker.
  app.get('/livez', (context) => context.text('ok\n'));
  app.get('/readyz', (context) => {
    const waiting = view.parts.filter((part) => part.reason !== undefined);
    if (waiting.length === 0) return context.text('ok\n');
    return context.text(waiting.map(({ part, reason }) => `${part}: ${reason}\n`).join(''), 503);
  });
  app.get('/metrics', async (context) =>
    context.body(await view.metricsText(), 200, { 'content-type': view.metricsContentType }),
  );
  return app;
}

/** /healthz alone: on kube-proxy's own port, where balancers come from anywhere. */
export function proxyHealthApp(view: Pick<AgentView, 'nodeHealth'>): Hono {
  const app = new Hono();
  app.get('/healthz', (context) =>
    view.nodeHealth === undefined ? context.text('ok\n') : nodeHealthResponse(view.nodeHealth, new Date()),
  );
  return app;
}

/** /proxyMode, by which monitoring and upstream's conformance suite know what serves Services. */
export function proxyModeApp(): Hono {
  const app = new Hono();
  app.get('/proxyMode', (context) => context.text('iptables'));
  return app;
}

/** /api for the socket and for loopback. */
export function apiApp(view: AgentView): Hono {
  const app = new Hono();
  app.get('/api/status', (context) => context.json(view.status));
  app.get('/api/endpoints', (context) => context.json(view.endpoints));
  // For whoever starts a pod and waits until its policies hold.
  app.get('/api/endpoints/:namespace/:name', (context) => {
    const key = `${context.req.param('namespace')}/${context.req.param('name')}`;
    const found = view.endpoints.endpoints.find(({ pod }) => pod === key);
    if (found !== undefined) return context.json(found);
    return context.json({ error: `no pod ${key} is policed on node ${view.status.node}` }, 404);
  });
  app.get('/api/diagnostics', (context) => context.json(view.diagnostics));
  app.get('/api/ipsets', (context) =>
    context.json({ ipSets: [...view.ipSets].map((set) => plainIpSet(set, view.status.node)) }),
  );
  app.get('/api/state', (context) => context.json(encodeState(view.state)));
  app.get('/api/compiler', (context) => {
    const input = view.compilerInput;
    return context.json(input === undefined ? {} : encodeCompilerInput(input));
  });
  app.get('/api/render', (context) => context.text(view.renderText()));
  app.notFound((context) => context.json({ error: `no such path: ${context.req.path}` }, 404));
  return app;
}

function plainIpSet({ closing: _ofTheWriter, ...set }: IpSet, node: string): object {
  return { ...set, node, members: [...set.members].sort() };
}
