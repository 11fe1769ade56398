/** Whether memory grows over a long run. */

export interface MemorySample {
  readonly cases: number;
  /** In use after a collection. */
  readonly heapMb: number;
  readonly residentMb: number;
}

export interface Growth {
  readonly isFlat: boolean;
  readonly text: string;
}

/** Caches fill and code is compiled at first: the second quarter of the run is what the last one is held against. */
export function growthOf(samples: readonly MemorySample[]): Growth {
  const quarter = Math.floor(samples.length / 4);
  if (quarter < 2) return { isFlat: true, text: 'too short to tell about memory' };
  const early = samples.slice(quarter, 2 * quarter);
  const late = samples.slice(-quarter);
  const heap = [median(early, 'heapMb'), median(late, 'heapMb')] as const;
  const resident = [median(early, 'residentMb'), median(late, 'residentMb')] as const;
  return {
    // What is in use counts; the allocator keeps what was used once, which is why the resident set may vary more.
    isFlat: heap[1] - heap[0] < 8 && resident[1] - resident[0] < 64,
    text: `heap ${heap.map(inMb).join(' -> ')}, resident ${resident.map(inMb).join(' -> ')} (second quarter -> last)`,
  };
}

function median(samples: readonly MemorySample[], key: 'heapMb' | 'residentMb'): number {
  const sorted = samples.map((sample) => sample[key]).toSorted((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function inMb(value: number): string {
  return `${value.toFixed(1)} MB`;
}
