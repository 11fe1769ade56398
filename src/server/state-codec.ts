/** The cluster's objects as JSON and back, so that the command line can ask about what the agent knows. */
import type { ClusterObject, ManifestLocation } from '../cluster/objects.ts';
import { ClusterStore } from '../cluster/state.ts';
import type { ClusterState } from '../cluster/state.ts';
import type { CompileOptions } from '../compile/options.ts';
import type { NodeFacts } from '../dataplane/endpoint-binding.ts';

/** Grows when the form of an object changes: both ends are this program, but perhaps not of one version. */
export const stateFormat = 2;

export interface EncodedState {
  readonly format: number;
  readonly revision: number;
  readonly objects: readonly object[];
}

export function encodeState(state: ClusterState): EncodedState {
  const { namespaces, nodes, pods, networkPolicies, services, endpointSlices, serviceCidrs } = state;
  const indexes: readonly ReadonlyMap<string, ClusterObject>[] = [
    namespaces,
    nodes,
    pods,
    networkPolicies,
    services,
    endpointSlices,
    serviceCidrs,
  ];
  return {
    format: stateFormat,
    revision: state.revision,
    objects: indexes.flatMap((index) => [...index.values()].map(encodeObject)),
  };
}

/** Undefined where the other end speaks another format. */
export function decodeState(encoded: unknown): ClusterStore | undefined {
  if (!isEncodedState(encoded)) return undefined;
  const store = new ClusterStore();
  store.apply(encoded.objects.map((object) => ({ type: 'set', object: decodeObject(object) })));
  return store;
}

/** What the compiler of a running agent is given besides the cluster. */
export interface CompilerInput {
  readonly options: CompileOptions;
  readonly facts: NodeFacts;
}

export function encodeCompilerInput({ options, facts }: CompilerInput): object {
  return { format: stateFormat, options, facts: { ...facts, bindings: [...facts.bindings] } };
}

/** Undefined where the other end speaks another format, or has nothing yet. */
export function decodeCompilerInput(encoded: unknown): CompilerInput | undefined {
  if (!isCompilerInput(encoded)) return undefined;
  const { options, facts } = encoded;
  return { options, facts: { ...facts, bindings: new Map(facts.bindings) } };
}

function encodeObject(object: ClusterObject): object {
  if (object.location === undefined) return object;
  return { ...object, location: { ...object.location, lines: [...object.location.lines] } };
}

function decodeObject(encoded: object): ClusterObject {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- our own encoding, its format was compared
  const object = encoded as ClusterObject & { readonly location?: EncodedLocation };
  if (object.location === undefined) return object;
  return { ...object, location: { ...object.location, lines: new Map(object.location.lines) } };
}

type EncodedLocation = Omit<ManifestLocation, 'lines'> & { readonly lines: Iterable<readonly [string, number]> };

function isEncodedState(value: unknown): value is EncodedState {
  return (
    typeof value === 'object' &&
    value !== null &&
    'format' in value &&
    value.format === stateFormat &&
    'objects' in value &&
    Array.isArray(value.objects)
  );
}

function isCompilerInput(value: unknown): value is CompilerInput {
  return typeof value === 'object' && value !== null && 'format' in value && value.format === stateFormat;
}
