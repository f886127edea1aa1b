// Puts fresh parts of the page in the place of the old ones.

// Brings one part to its new form and touches only what differs: focus and scroll stay, and a screen
// reader reads new lines alone.
function morph(old, fresh) {
  const wantedNodes = [...fresh.childNodes];
  wantedNodes.forEach((node, index) => {
    const there = old.childNodes[index];
    if (!there) old.append(node);
    else if (there.isEqualNode(node)) return;
    else if (there.nodeName !== node.nodeName) there.replaceWith(node);
    else if (there.nodeType === Node.TEXT_NODE) there.data = node.data;
    else if (there.nodeType === Node.ELEMENT_NODE) {
      for (const { name } of [...there.attributes]) if (!node.hasAttribute(name)) there.removeAttribute(name);
      for (const { name, value } of node.attributes) {
        if (there.getAttribute(name) !== value) there.setAttribute(name, value);
      }
      morph(there, node);
    }
  });
  while (old.childNodes.length > wantedNodes.length) old.lastChild.remove();
}

export function put(region, html) {
  const fresh = document.createElement("template");
  fresh.innerHTML = html; // our own template, in which everything from outside is escaped
  morph(region, fresh.content);
}

export function place(regions) {
  const key = document.activeElement?.dataset?.key;
  for (const [name, html] of Object.entries(regions)) {
    put(document.querySelector(`[data-region="${name}"]`), html);
  }
  if (key !== undefined && document.activeElement?.dataset?.key !== key) {
    document.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
  }
}
