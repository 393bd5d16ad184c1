export default {
  files: ['__test__/**/*.spec.ts'],
  extensions: { ts: 'module' },
  // Processes, since the tests are about them: exits, signals, locks and threads of their own.
  workerThreads: false,
  nodeArguments: ['--import=@oxc-node/core/register'],
  timeout: '3m',
}
