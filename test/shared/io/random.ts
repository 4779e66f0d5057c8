// Support: seeded random numbers for the fuzz tests here. A seed from SEED replays; otherwise it is new and printed.

export function seedOf(name: string): number {
  const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`${name}: seed ${seed} (replay with SEED=${seed})`);
  return seed;
}

const INTERESTING = Buffer.from('{}[]":,\\u\\ud80null0\n\r \t"\xff\xc3\xed\xa0', "latin1");

/** Up to `bytesMax` bytes, half of them such as JSON is made of. */
export function randomBytes(random: () => number, bytesMax: number): Buffer {
  const bytes = Buffer.alloc(Math.floor(random() * (bytesMax + 1)));
  for (let index = 0; index < bytes.length; index++) {
    const interesting = INTERESTING[Math.floor(random() * INTERESTING.length)] ?? 0;
    bytes[index] = random() < 0.5 ? interesting : Math.floor(random() * 256);
  }
  return bytes;
}
