'use strict';
// While the run goes on, load the page again: it has been rewritten. Not while it is paused or out of sight.
(function () {
  const { state, reload, written } = document.body.dataset;
  if (state !== 'running') return;
  const wait = Number(reload) * 1000;
  const button = document.getElementById('pause');
  const stale = document.getElementById('stale');
  let paused = false;

  button.addEventListener('click', function () {
    paused = !paused;
    button.setAttribute('aria-pressed', String(paused));
    button.textContent = paused ? 'Go on' : 'Pause this page';
  });

  const silent = Math.round(Date.now() / 1000 - Number(written));
  if (silent > Math.max(60, 20 * Number(reload))) {
    stale.textContent = 'Nothing new for ' + Math.round(silent / 60) + ' min. The run may have ended without a report.';
    stale.hidden = false;
  }

  setInterval(function () {
    if (!paused && !document.hidden) location.reload();
  }, wait);
})();
