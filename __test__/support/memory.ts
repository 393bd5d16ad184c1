export interface Resizable extends ArrayBuffer {
  resize(length: number): void
}

/** A resizable ArrayBuffer: every supported Node has them, the library that the package is compiled against does not. */
export function resizable(length: number, maxByteLength: number): Resizable {
  return new (ArrayBuffer as unknown as new (length: number, options: { maxByteLength: number }) => Resizable)(length, { maxByteLength })
}
