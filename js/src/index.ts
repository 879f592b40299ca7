// Entry of chloe.mjs.

import { loadedFrom } from './address';
import { Chloe } from './client';

loadedFrom((import.meta as { url?: string }).url);

export { Chloe, Chloe as default };
