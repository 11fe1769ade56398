/** Exact shares of traffic, so that three endpoints are a third each and all branches sum to one. */

export interface Share {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

export const wholeShare: Share = { numerator: 1n, denominator: 1n };

/** Larger than any list of endpoints that is balanced in one chain. */
const largestDenominator = 10_000;
/** Rules print ten decimals. */
const tolerance = 5e-11;

/** The fraction behind a rule's probability: k/n where its ten decimals are those of one with n up to 10,000, else the decimals themselves. */
export function shareOf(probability: number): Share {
  if (probability >= 1) return wholeShare;
  if (probability <= 0) return { numerator: 0n, denominator: 1n };
  const simple = nearestFraction(probability);
  if (simple !== undefined) return simple;
  return reduce({ numerator: BigInt(Math.round(probability * 1e10)), denominator: 10_000_000_000n });
}

export function complementOf(share: Share): Share {
  return { numerator: share.denominator - share.numerator, denominator: share.denominator };
}

export function productOf(left: Share, right: Share): Share {
  return reduce({
    numerator: left.numerator * right.numerator,
    denominator: left.denominator * right.denominator,
  });
}

export function shareToNumber(share: Share): number {
  return Number(share.numerator) / Number(share.denominator);
}

/** Continued fraction; two fractions with denominators up to 10,000 differ by at least 1e-8, so at most one is in tolerance. */
function nearestFraction(probability: number): Share | undefined {
  let [beforeNumerator, beforeDenominator, numerator, denominator] = [0, 1, 1, 0];
  let rest = probability;
  while (denominator <= largestDenominator) {
    const whole = Math.floor(rest);
    [beforeNumerator, numerator] = [numerator, whole * numerator + beforeNumerator];
    [beforeDenominator, denominator] = [denominator, whole * denominator + beforeDenominator];
    if (denominator > largestDenominator) return undefined;
    if (Math.abs(numerator / denominator - probability) <= tolerance) {
      return { numerator: BigInt(numerator), denominator: BigInt(denominator) };
    }
    rest = 1 / (rest - whole);
  }
  return undefined;
}

function reduce({ numerator, denominator }: Share): Share {
  let [left, right] = [numerator, denominator];
  while (right !== 0n) [left, right] = [right, left % right];
  return { numerator: numerator / left, denominator: denominator / left };
}
