// A short tone when an acute answer has come into the banner, where somebody has asked for it; banner and title say it without.
const place = document.querySelector("[data-sound]");
const [toggle, trial] = place.querySelectorAll("button");
const said = place.querySelector("[role=status]");
const banner = document.querySelector("[data-urgent]");
const MOST_IN_A_ROW = 3;
const MOST_KEPT = 200;

// A browser that keeps nothing has its choice until the page is left.
const unkept = {};
const kept = (name, value) => {
  try {
    if (value !== undefined) localStorage.setItem(name, value);
    return localStorage.getItem(name);
  } catch {
    if (value !== undefined) unkept[name] = value;
    return unkept[name];
  }
};
const isOn = () => kept("sound") === "on";

let sound;
// Browsers hold sound back until somebody has clicked or typed; what asks for it then waits, perhaps for ever.
const ready = async () => {
  sound ??= new AudioContext();
  const patience = new Promise((done) => setTimeout(done, 500));
  if (sound.state !== "running") await Promise.race([sound.resume(), patience]);
  const isReady = sound.state === "running";
  said.textContent = isReady ? "" : "Webbläsaren släpper fram ljudet när du har klickat på sidan.";
  return isReady;
};
const tone = (at) => {
  const source = sound.createOscillator();
  const volume = sound.createGain();
  source.frequency.setValueAtTime(880, at);
  source.frequency.setValueAtTime(660, at + 0.2);
  volume.gain.setValueAtTime(0, at);
  volume.gain.linearRampToValueAtTime(0.3, at + 0.02);
  volume.gain.setValueAtTime(0.3, at + 0.36);
  volume.gain.linearRampToValueAtTime(0, at + 0.4);
  source.connect(volume).connect(sound.destination);
  source.start(at);
  source.stop(at + 0.4);
};
const play = async (times) => {
  if (!(await ready())) return;
  for (let number = 0; number < Math.min(times, MOST_IN_A_ROW); number += 1) tone(sound.currentTime + number * 0.7);
};

// Which answers were told of is kept for the browser, so that no other page of it tells of them again.
const listen = () => {
  const told = (kept("sound-told") ?? "").split(" ");
  const ids = banner.querySelector("[data-ids]")?.dataset.ids.split(" ") ?? [];
  const fresh = ids.filter((id) => !told.includes(id));
  if (!fresh.length) return;
  kept("sound-told", [...told, ...fresh].slice(-MOST_KEPT).join(" "));
  if (isOn()) play(fresh.length);
};

const show = () => {
  toggle.textContent = `Ljud vid akuta svar: ${isOn() ? "på" : "av"}`;
  trial.hidden = !isOn();
};
toggle.addEventListener("click", () => {
  kept("sound", isOn() ? "off" : "on");
  said.textContent = "";
  show();
  if (isOn()) ready();
});
trial.addEventListener("click", () => play(1));
addEventListener("storage", show);
for (const gesture of ["pointerup", "keydown"]) addEventListener(gesture, () => said.textContent && ready());
new MutationObserver(listen).observe(banner, { attributes: true, childList: true, subtree: true });
place.hidden = !window.AudioContext;
show();
listen();
// Where no sound would come, that is said before it is missed.
if (isOn()) ready();
