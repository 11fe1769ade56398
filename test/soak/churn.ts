/** A cluster that never rests: changes of pods, labels, policies and Services, the same for the same seed. */

/** One file of the manifests directory, as it is from now on; absent text: gone. */
export interface ChurnChange {
  readonly file: string;
  readonly text?: string;
}

const nodes = ['node-a', 'node-b', 'node-c'];
const namespaces = ['churn-0', 'churn-1', 'churn-2'];
const apps = ['web', 'api', 'db', 'queue'];
const limits = { pods: 24, policies: 40, services: 20 };

interface PodState {
  readonly namespace: string;
  readonly node: string;
  readonly app: string;
  readonly round: number;
}

export class Churn {
  readonly #pods = new Map<string, PodState>();
  readonly #policies = new Map<string, number>();
  readonly #services = new Map<string, number>();
  readonly #random: () => number;
  #count = 0;

  constructor(seed: number) {
    this.#random = randomNumbers(seed);
  }

  /** Number of objects that are there. */
  get size(): number {
    return this.#pods.size + this.#policies.size + this.#services.size;
  }

  /** Half of them labels, a quarter policies, a sixth Services, the rest pods that come and go. */
  next(): ChurnChange {
    this.#count += 1;
    const kind = this.#random();
    if (kind < 0.5 && this.#pods.size > 0) return this.#relabel();
    if (kind < 0.75) return this.#change('policy', this.#policies, limits.policies);
    if (kind < 0.92) return this.#change('service', this.#services, limits.services);
    return this.#comeOrGo();
  }

  #relabel(): ChurnChange {
    const name = this.#pick([...this.#pods.keys()]);
    const before = this.#pods.get(name);
    if (before === undefined) throw new Error(`no pod ${name}`);
    return this.#putPod(name, { ...before, app: this.#pick(apps), round: this.#count });
  }

  #comeOrGo(): ChurnChange {
    if (this.#pods.size >= limits.pods || (this.#pods.size > limits.pods / 2 && this.#random() < 0.5)) {
      const name = this.#pick([...this.#pods.keys()]);
      this.#pods.delete(name);
      return { file: `pod-${name}.yaml` };
    }
    const state = { namespace: this.#pick(namespaces), node: this.#pick(nodes), app: this.#pick(apps), round: 0 };
    return this.#putPod(`p${this.#count}`, state);
  }

  #putPod(name: string, state: PodState): ChurnChange {
    this.#pods.set(name, state);
    return { file: `pod-${name}.yaml`, text: podText(name, state) };
  }

  #change(kind: 'policy' | 'service', known: Map<string, number>, limit: number): ChurnChange {
    const isFull = known.size >= limit;
    const dice = this.#random();
    if (known.size > 0 && (isFull || dice < 0.6)) {
      const name = this.#pick([...known.keys()]);
      if (isFull || dice < 0.2) {
        known.delete(name);
        return { file: `${kind}-${name}.yaml` };
      }
      return this.#write(kind, name, known);
    }
    return this.#write(kind, `${kind.charAt(0)}${this.#count}`, known);
  }

  #write(kind: 'policy' | 'service', name: string, known: Map<string, number>): ChurnChange {
    known.set(name, this.#count);
    const namespace = namespaces[Number(name.slice(1)) % namespaces.length] ?? '';
    const text = kind === 'policy' ? this.#policyText(name, namespace) : this.#serviceText(name, namespace);
    return { file: `${kind}-${name}.yaml`, text };
  }

  #policyText(name: string, namespace: string): string {
    const port = 1000 + Math.floor(this.#random() * 100);
    const block = `10.${Math.floor(this.#random() * 200)}.0.0/16`;
    const peers = [
      `podSelector: { matchLabels: { app: ${this.#pick(apps)} } }`,
      `namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: ${this.#pick(namespaces)} } }`,
      `ipBlock: { cidr: ${block} }`,
    ];
    const rule = `{ ${this.#random() < 0.5 ? 'from' : 'to'}: [{ ${this.#pick(peers)} }], ports: [{ port: ${port} }] }`;
    const direction = rule.includes('from:') ? 'ingress' : 'egress';
    return `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: ${name}, namespace: ${namespace} }
spec: { podSelector: { matchLabels: { app: ${this.#pick(apps)} } }, ${direction}: [${rule}] }
`;
  }

  #serviceText(name: string, namespace: string): string {
    const type = this.#random() < 0.3 ? 'NodePort' : 'ClusterIP';
    return `apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  type: ${type}
  selector: { app: ${this.#pick(apps)} }
  ports: [{ port: 80, targetPort: ${8000 + Math.floor(this.#random() * 50)} }]
`;
  }

  #pick<T>(items: readonly T[]): T {
    const item = items[Math.floor(this.#random() * items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }
}

function podText(name: string, { namespace, node, app, round }: PodState): string {
  return `apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: ${namespace}, labels: { app: ${app}, round: "${round}" } }
spec: { nodeName: ${node}, containers: [{ name: main, image: none }] }
`;
}

/** mulberry32: numbers from 0 to 1 that depend on the seed alone. */
function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
