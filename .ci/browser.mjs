// Drives a headless Chromium over its debugging protocol; started by .ci/browser. Ends with 1 when the page is not good.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { once } from 'node:events';

const [page, entry, folder, profile] = process.argv.slice(2);
const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--remote-debugging-port=0',
  `--user-data-dir=${profile}`, '--window-size=1200,1600', 'about:blank'];
const browser = spawn('chromium', flags, { stdio: ['ignore', 'ignore', 'pipe'] });
let said = '';
const address = await new Promise((found, failed) => {
  browser.on('exit', () => failed(new Error(`chromium ended: ${said}`)));
  browser.stderr.on('data', (text) => {
    said += text;
    const match = said.match(/ws:\/\/([^/\s]+)\S*/);
    if (match) found(match[1]);
  });
});
const tabs = await (await fetch(`http://${address}/json`)).json();
const socket = new WebSocket(tabs.find((tab) => tab.type === 'page').webSocketDebuggerUrl);
await new Promise((open) => { socket.onopen = open; });

const waiting = new Map();
const told = [];
let loaded = () => {};
let number = 0;
socket.onmessage = ({ data }) => {
  const message = JSON.parse(data);
  if (message.id) waiting.get(message.id)(message);
  if (message.method === 'Page.loadEventFired') loaded();
  if (['Runtime.consoleAPICalled', 'Runtime.exceptionThrown', 'Log.entryAdded'].includes(message.method)) {
    told.push(JSON.stringify(message.params).slice(0, 400));
  }
};
const call = async (method, params = {}) => {
  number += 1;
  const answer = new Promise((got) => { waiting.set(number, got); });
  socket.send(JSON.stringify({ id: number, method, params }));
  const { error, result } = await answer;
  if (error) throw new Error(`${method}: ${error.message}`);
  return result;
};
const evaluate = async (expression) =>
  (await call('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true })).result.value;
const picture = async (name) => {
  const { data } = await call('Page.captureScreenshot', { format: 'png' });
  fs.writeFileSync(`${folder}/${name}.png`, Buffer.from(data, 'base64'));
};

const faults = [];
for (const domain of ['Page', 'Runtime', 'Log']) await call(`${domain}.enable`);
let begun = Date.now();
const load = new Promise((done) => { loaded = done; });
await call('Page.navigate', { url: `file://${page}` });
await load;
await picture('light');
const size = await evaluate('[document.documentElement.scrollHeight, document.getElementsByTagName("*").length]');
console.log(`load     ${Date.now() - begun} ms, ${size[1]} elements, ${size[0]} px high`);

begun = Date.now();
const at = await evaluate(`(async () => {
  const row = document.getElementById('e${entry}');
  if (!row) return null;
  location.hash = '#e${entry}';
  for (let n = 0; n < 40; n++) await new Promise((next) => requestAnimationFrame(() => setTimeout(next, 10)));
  const { top, bottom } = row.getBoundingClientRect();
  return { top, bottom, scrolled: scrollY, screen: innerHeight, last: scrollY + innerHeight >= document.documentElement.scrollHeight - 2 };
})()`);
if (!at) faults.push(`entry ${entry} has no row`);
else if (at.top < 0 || at.bottom > at.screen) faults.push(`entry ${entry} is not on the screen: ${JSON.stringify(at)}`);
else console.log(`jump     ${Date.now() - begun} ms to entry ${entry}, ${Math.round(at.top)} px from the top`);
await picture('entry');

const slowest = await evaluate(`(async () => {
  scrollTo(0, 0);
  let slowest = 0;
  for (let n = 0; n < 100; n++) {
    const begun = performance.now();
    scrollBy(0, 1200);
    await new Promise((next) => requestAnimationFrame(() => setTimeout(next, 0)));
    slowest = Math.max(slowest, performance.now() - begun);
  }
  return [Math.round(slowest), Math.round(scrollY)];
})()`);
if (slowest[1] === 0 && size[0] > 2000) faults.push('it does not scroll');
console.log(`scroll   100 screens, ${slowest[0]} ms the slowest`);
await picture('scrolled');

await evaluate('scrollTo(0, 0)');
await call('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: 'dark' }] });
await picture('dark');
await call('Emulation.setEmulatedMedia', { features: [] });
// A hundred thousand rows are not for paper.
if (fs.statSync(page).size < 4_000_000) {
  const { data } = await call('Page.printToPDF', { printBackground: false, preferCSSPageSize: true });
  fs.writeFileSync(`${folder}/print.pdf`, Buffer.from(data, 'base64'));
}
for (const line of told) faults.push(`on the console: ${line}`);
for (const fault of faults) console.error(fault);
browser.removeAllListeners('exit');
browser.kill();
await once(browser, 'exit');
process.exit(faults.length > 0 ? 1 : 0);
