// Entry of chloe.js and chloe-min.js: makes the global Chloe.

import { loadedFrom } from './address';
import { Chloe } from './client';

// eslint-disable-next-line @typescript-eslint/no-explicit-any
const scope = self as any;
// A second client on the page takes over the connections of the first, whose answers come here.
const former = scope.Chloe && scope.Chloe.JsonpTransport;
if (former && former.connections) Chloe.JsonpTransport.connections = former.connections;
scope.Chloe = Chloe;

const script = typeof document === 'undefined' ? null : document.currentScript;
loadedFrom(script ? (script as HTMLScriptElement).src : undefined);
