/**
 * The one of `words` that `word` was most likely meant to be, or undefined when none is near: at most one typing
 * mistake in three letters, or the only one that begins as `word` does.
 */
export function closest(word: string, words: readonly string[]): string | undefined {
  const typed = word.toLowerCase().replaceAll('_', '-');
  let best: string | undefined;
  let least = Math.floor(typed.length / 3) + 1;
  for (const candidate of words) {
    const distance = editDistance(typed, candidate);
    if (distance < least) {
      best = candidate;
      least = distance;
    }
  }
  if (best !== undefined || typed.length < 3) return best;
  const beginning = words.filter((candidate) => candidate.startsWith(typed) || typed.startsWith(candidate));
  return beginning.length === 1 ? beginning[0] : undefined;
}

/** Letters to insert, delete, replace or swap with their neighbour to get from a to b (optimal alignment). */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = at(above, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let least = Math.min(replaced, at(above, j) + 1, at(row, j - 1) + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, at(before, j - 2) + 1);
      }
      row.push(least);
    }
    before = above;
    above = row;
  }
  return at(above, b.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] as number;
}
