// Rows are unpacked at once; geometry and viewer when a crystal is opened.

// Address of a crystal: report.html#crystal=gen-000012
function openAddressed(data, dialog) {
  const asked = location.hash.match(/^#crystal=(.+)$/);
  const row = asked ? data.columns.material_id.indexOf(decodeURIComponent(asked[1])) : -1;
  if (row >= 0 && row !== (dialog.dialog.open ? dialog.row : null)) dialog.show(row);
}

async function start() {
  const root = byId("crystal-list") ?? byId("main");
  if (typeof DecompressionStream === "undefined") {
    (root.querySelector("[role=status]") ?? byId("no-view")).textContent =
      "This browser is too old for the crystals in three dimensions (no DecompressionStream); any of 2023 or later shows it.";
    return;
  }
  const data = JSON.parse(asText(await unpack("crystal-rows")));
  searchable(data);
  const dialog = new CrystalDialog(byId("crystal-view"), data);
  dialog.table = root.id === "main" ? new CrystalCards(root, data) : new CrystalTable(root, data, row => dialog.show(row));
  root.dataset.ready = "yes";
  window.addEventListener("hashchange", () => openAddressed(data, dialog));
  openAddressed(data, dialog);
}

start();
