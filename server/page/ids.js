// Names that nobody else has.

/** Not `crypto.randomUUID`, which plain http does not have. */
export const newId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
