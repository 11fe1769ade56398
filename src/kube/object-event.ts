/** What is to be told of an object as an Event on it (events.k8s.io/v1), so that `kubectl describe` shows it. Pure. */
import { createHash } from 'node:crypto';
import type { ClusterObject } from '../cluster/objects.ts';
import { describeObject } from '../cluster/objects.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import { allResources } from './resources.ts';

export interface ObjectEvent {
  readonly name: string;
  readonly path: string;
  readonly body: object;
}

export interface Reporter {
  readonly nodeName: string;
  readonly now: Date;
}

/** What the API server takes as a note. */
const noteLimit = 1024;

/** `Kind namespace/name` to one note for each object that is refused. */
export function notesOf(diagnostics: readonly Diagnostic[]): ReadonlyMap<string, string> {
  const notes = new Map<string, string>();
  for (const { severity, object, path, message } of diagnostics) {
    if (severity !== 'error' || object === '') continue;
    const before = notes.get(object);
    const text = path === undefined ? message : `${path}: ${message}`;
    notes.set(object, before === undefined ? text : `${before}; ${text}`);
  }
  return notes;
}

/** An object that is refused. The same object and words have the same name: of a hundred agents one writes it, the others find it there. */
export function objectEvent(object: ClusterObject, note: string, reporter: Reporter): ObjectEvent {
  return eventOn(object, { reason: 'Refused', action: 'Program', note, occasion: note }, reporter);
}

/** What another program did on a node was mended. Each time has a name of its own. */
export function repairEvent(node: ClusterObject, note: string, reporter: Reporter): ObjectEvent {
  const occasion = `${note} ${reporter.now.toISOString()}`;
  return eventOn(node, { reason: 'DriftMended', action: 'Mend', note, occasion }, reporter);
}

interface Told {
  readonly reason: string;
  readonly action: string;
  readonly note: string;
  /** Events on one object with the same occasion are one. */
  readonly occasion: string;
}

function eventOn(object: ClusterObject, told: Told, { nodeName, now }: Reporter): ObjectEvent {
  const { reason, action, note, occasion } = told;
  const { name, uid = '' } = object;
  const namespace = 'namespace' in object ? object.namespace : undefined;
  const group = allResources.find(({ kind }) => kind === object.kind)?.group ?? '';
  const digest = createHash('sha256')
    .update(`${describeObject(object)} ${uid} ${occasion}`)
    .digest('hex')
    .slice(0, 16);
  // Events on what has no namespace lie in `default`.
  const home = namespace ?? 'default';
  const eventName = `${name.slice(0, 200).replace(/[^a-z0-9]+$/, '')}.${digest}`;
  return {
    name: eventName,
    path: `/apis/events.k8s.io/v1/namespaces/${home}/events`,
    body: {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: eventName, namespace: home },
      eventTime: now.toISOString().replace(/Z$/, '000Z'),
      reportingController: 'sluice.io/agent',
      reportingInstance: nodeName.slice(0, 128),
      action,
      reason,
      type: 'Warning',
      regarding: {
        apiVersion: group === '' ? 'v1' : `${group}/v1`,
        kind: object.kind,
        name,
        ...(namespace === undefined ? {} : { namespace }),
        ...(uid === '' ? {} : { uid }),
      },
      note: note.length > noteLimit ? `${note.slice(0, noteLimit - 3)}...` : note,
    },
  };
}
