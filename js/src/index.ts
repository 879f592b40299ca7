// Entry of chloe.mjs.

import { loadedFrom } from './address';
import { Chloe } from './client';

// Built into a page's own script it has another name, and that came from elsewhere.
const { url } = import.meta as { url?: string };
if (/\/chloe\.mjs([?#]|$)/.test(url + '')) loadedFrom(url);

export { Chloe, Chloe as default };
