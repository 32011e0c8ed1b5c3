// The words of voxloom._random.Stream: BLAKE2b (RFC 7693) makes a key of the seed and the
// domain, Philox4x64-10 (Salmon et al. 2011) makes words of the key and a counter.

const WORD = (1n << 64n) - 1n;

const BLAKE_START = [
  0x6a09e667f3bcc908n, 0xbb67ae8584caa73bn, 0x3c6ef372fe94f82bn, 0xa54ff53a5f1d36f1n,
  0x510e527fade682d1n, 0x9b05688c2b3e6c1fn, 0x1f83d9abfb41bd6bn, 0x5be0cd19137e2179n,
];

const BLAKE_ORDER = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
  [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
  [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
  [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
  [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];

const BLAKE_MIXES = [
  [0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15],
  [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14],
];

function rotateRight(word, bits) {
  return ((word >> bits) | (word << (64n - bits))) & WORD;
}

function mix(state, [a, b, c, d], first, second) {
  state[a] = (state[a] + state[b] + first) & WORD;
  state[d] = rotateRight(state[d] ^ state[a], 32n);
  state[c] = (state[c] + state[d]) & WORD;
  state[b] = rotateRight(state[b] ^ state[c], 24n);
  state[a] = (state[a] + state[b] + second) & WORD;
  state[d] = rotateRight(state[d] ^ state[a], 16n);
  state[c] = (state[c] + state[d]) & WORD;
  state[b] = rotateRight(state[b] ^ state[c], 63n);
}

/** Return the 16 bytes of BLAKE2b of a text of at most 128 bytes, as two little-endian words. */
function hashText(text) {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length > 128) throw new RangeError(`a text of at most 128 bytes, got ${bytes.length}`);
  const block = new Uint8Array(128);
  block.set(bytes);
  const view = new DataView(block.buffer);
  const message = Array.from({ length: 16 }, (_, n) => view.getBigUint64(8 * n, true));
  const start = [...BLAKE_START];
  start[0] ^= 0x01010000n ^ 16n; // no key, one leaf, 16 bytes of digest
  const state = [...start, ...BLAKE_START];
  state[12] ^= BigInt(bytes.length);
  state[14] ^= WORD; // this block is the last
  for (let round = 0; round < 12; round += 1) {
    const order = BLAKE_ORDER[round % 10];
    BLAKE_MIXES.forEach((places, n) => {
      mix(state, places, message[order[2 * n]], message[order[2 * n + 1]]);
    });
  }
  return [0, 1].map((n) => start[n] ^ state[n] ^ state[n + 8]);
}

function philoxBlock(counter, key) {
  let [a, b, c, d] = counter;
  let [first, second] = key;
  for (let round = 0; round < 10; round += 1) {
    const left = 0xd2e7470ee14c6c93n * a;
    const right = 0xca5a826395121157n * c;
    [a, b, c, d] = [(right >> 64n) ^ b ^ first, right & WORD, (left >> 64n) ^ d ^ second, left & WORD];
    first = (first + 0x9e3779b97f4a7c15n) & WORD;
    second = (second + 0xbb67ae8584caa73bn) & WORD;
  }
  return [a, b, c, d];
}

/** Return `count` words of the stream (seed, domain, name) for an epoch: Stream(...).words(...). */
function drawWords(seed, domain, name, count, epoch) {
  const kind = typeof name === "number" ? "int" : "str";
  const key = hashText(`${seed}\x1f${domain}\x1f${kind}\x1f${name}`);
  const words = [];
  for (let block = 1n; words.length < count; block += 1n) {
    words.push(...philoxBlock([block, 0n, BigInt(epoch), 0n], key));
  }
  return words.slice(0, count);
}
