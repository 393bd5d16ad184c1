import { VarveError } from 'varve'

/** `VarveError`, as ava's expectations take it: they ask for a public constructor, which it does not have. */
export const instanceOf: new () => VarveError = VarveError as unknown as new () => VarveError
