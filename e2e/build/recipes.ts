/** Which program comes from where: one Go module (a folder of `modules/`) or one Debian package for each. */

export interface GoRecipe {
  readonly kind: 'go';
  /** Folder of `modules/`: its go.mod and go.sum fix every version. */
  readonly module: string;
  /** Import path of the program. */
  readonly path: string;
  /** A test program (`go test -c`). */
  readonly isTest?: boolean;
}

export interface DebianRecipe {
  readonly kind: 'debian';
  readonly package: string;
  /** Path in the package. */
  readonly file: string;
}

export interface CRecipe {
  readonly kind: 'c';
  /** Name in this folder. */
  readonly source: string;
}

export type Recipe = GoRecipe | DebianRecipe | CRecipe;

export interface ModuleOptions {
  readonly tags?: readonly string[];
  readonly linkerFlags?: readonly string[];
  readonly needsCgo?: boolean;
}

export const kubernetesVersion = 'v1.36.3';

const [major = '', minor = ''] = kubernetesVersion.slice(1).split('.');

/** Options of a module's programs; a program without the version stamped in is refused by Kubernetes' clients. */
export const moduleOptions: Readonly<Record<string, ModuleOptions>> = {
  kubernetes: {
    linkerFlags: [
      `-X k8s.io/component-base/version.gitVersion=${kubernetesVersion}`,
      `-X k8s.io/component-base/version.gitMajor=${major}`,
      `-X k8s.io/component-base/version.gitMinor=${minor}`,
    ],
  },
  containerd: {
    tags: ['no_btrfs', 'no_devmapper', 'no_zfs'],
    linkerFlags: ['-X github.com/containerd/containerd/v2/version.Version=2.3.7'],
  },
  runc: { tags: ['seccomp'], needsCgo: true },
};

const kubernetes = (path: string): GoRecipe => ({
  kind: 'go',
  module: 'kubernetes',
  path: `k8s.io/kubernetes/${path}`,
});
const containerd = (name: string): GoRecipe => ({
  kind: 'go',
  module: 'containerd',
  path: `github.com/containerd/containerd/v2/cmd/${name}`,
});
const cniPlugin = (path: string): GoRecipe => ({
  kind: 'go',
  module: 'cni',
  path: `github.com/containernetworking/plugins/plugins/${path}`,
});

/** Every program that can be built, by its file name. */
export const recipes = {
  etcd: { kind: 'debian', package: 'etcd-server', file: 'usr/bin/etcd' },
  'kube-apiserver': kubernetes('cmd/kube-apiserver'),
  'kube-controller-manager': kubernetes('cmd/kube-controller-manager'),
  'kube-proxy': kubernetes('cmd/kube-proxy'),
  'kube-scheduler': kubernetes('cmd/kube-scheduler'),
  kubectl: kubernetes('cmd/kubectl'),
  kubelet: kubernetes('cmd/kubelet'),
  agnhost: kubernetes('test/images/agnhost'),
  'regression-issue-74839': kubernetes('test/images/regression-issue-74839'),
  'e2e.test': { ...kubernetes('test/e2e'), isTest: true },
  containerd: containerd('containerd'),
  'containerd-shim-runc-v2': containerd('containerd-shim-runc-v2'),
  ctr: containerd('ctr'),
  runc: { kind: 'go', module: 'runc', path: 'github.com/opencontainers/runc' },
  ptp: cniPlugin('main/ptp'),
  bridge: cniPlugin('main/bridge'),
  loopback: cniPlugin('main/loopback'),
  'host-local': cniPlugin('ipam/host-local'),
  portmap: cniPlugin('meta/portmap'),
  helm: { kind: 'go', module: 'helm', path: 'helm.sh/helm/v3/cmd/helm' },
  promcheck: { kind: 'go', module: 'prometheus', path: 'sluice.invalid/e2e/promcheck' },
  coredns: { kind: 'go', module: 'coredns', path: 'sluice.invalid/e2e/coredns' },
  busybox: { kind: 'debian', package: 'busybox-static', file: 'bin/busybox' },
  pause: { kind: 'c', source: 'pause.c' },
} satisfies Readonly<Record<string, Recipe>>;

export type ProgramName = keyof typeof recipes;

export function isProgramName(name: string): name is ProgramName {
  return Object.hasOwn(recipes, name);
}

/** The recipe of a program, as the union of all kinds. */
export function recipeOf(name: ProgramName): Recipe {
  return recipes[name];
}
