// What `varve` starts.
import { main } from './main.ts'

process.exitCode = await main(process.argv.slice(2), process as typeof process & Parameters<typeof main>[1])
