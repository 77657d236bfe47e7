import react from '@vitejs/plugin-react';
import { defaultClientConditions, defineConfig } from 'vite';

export default defineConfig({
  root: import.meta.dirname,
  plugins: [react()],
  // The SDK from its source, so that a change there is seen here without a build in between.
  resolve: { conditions: ['ringdown-source', ...defaultClientConditions] },
  // An icon that is written into the page would be an inline one; the server allows none of that for scripts.
  build: { outDir: 'dist', emptyOutDir: true, assetsInlineLimit: 0, target: 'es2023' },
  // One file, at the root and under one name: where a service worker is says for which pages it is.
  worker: {
    rolldownOptions: { output: { entryFileNames: '[name].js' } },
  },
  server: {
    proxy: {
      '/graphql': { target: 'http://127.0.0.1:4000', ws: true },
      '/demo.json': 'http://127.0.0.1:4000',
    },
  },
});
