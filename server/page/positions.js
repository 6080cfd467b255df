// Positions are `epoch-seq` and may be larger than a double counts exactly.

/** Before everything, and the head of an empty room. */
export const NONE = '0-0';

/** Negative when `a` is before `b`. */
export function compare(a, b) {
  if (a === b) return 0;
  const [epochA, seqA] = a.split('-').map(BigInt);
  const [epochB, seqB] = b.split('-').map(BigInt);
  if (epochA !== epochB) return epochA < epochB ? -1 : 1;
  return seqA < seqB ? -1 : 1;
}

/** The later of two. */
export const later = (a, b) => (compare(a, b) < 0 ? b : a);

/** As one number, for many comparisons. */
export function rank(position) {
  const [epoch, seq] = position.split('-').map(BigInt);
  return (epoch << 64n) | seq;
}
