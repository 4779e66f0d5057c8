// "Did you mean": the known word nearest to a mistyped one, by edit distance with swapped neighbours counted once
// (Damerau, restricted). A word as far off as half its length is no suggestion.

/** The nearest of `candidates`, compared without case; among equally near ones that of the same length. Undefined where none is near. */
export function nearest(typed: string, candidates: readonly string[]): string | undefined {
  const word = typed.toLowerCase();
  const limit = Math.max(1, Math.floor(word.length / 3));
  const near = candidates
    .map((candidate) => ({
      candidate,
      distance: editDistance(word, candidate.toLowerCase()),
      lengthApart: Math.abs(word.length - candidate.length),
    }))
    .filter(({ candidate, distance }) => distance <= limit && distance < Math.max(word.length, candidate.length));
  near.sort((a, b) => a.distance - b.distance || a.lengthApart - b.lengthApart);
  return near[0]?.candidate;
}

/** Insertions, deletions, replacements and swaps of neighbours that turn one text into the other. */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const cost = a[row - 1] === b[column - 1] ? 0 : 1;
      let distance = Math.min(
        (last[column] as number) + 1,
        (current[column - 1] as number) + 1,
        (last[column - 1] as number) + cost,
      );
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        distance = Math.min(distance, (beforeLast[column - 2] as number) + 1);
      }
      current.push(distance);
    }
    beforeLast = last;
    last = current;
  }
  return last[b.length] as number;
}
