/** Time as a constructor argument, so that tests decide when it passes. */
export interface Clock {
  /** Milliseconds that only grow; for durations. */
  now(): number;
  /** Resolves after `milliseconds`, early when `signal` aborts; never rejects. */
  sleep(milliseconds: number, signal: AbortSignal): Promise<void>;
}
