#include "engine/prefix_index.h"

#include <algorithm>

#include "base/check.h"
#include "base/strings.h"

namespace sluice::engine {

struct RadixPrefixIndex::Node {
  std::vector<TokenId> run;  // [1, block_tokens]; empty in a root
  BlockId block = -1;
  Node* parent = nullptr;
  std::vector<std::unique_ptr<Node>> children;  // ascending by run
  uint64_t last_used = 0;                       // unique
  std::string_view salt;                        // of a root: its key in roots_
};

namespace {

using Node = RadixPrefixIndex::Node;
using Run = std::span<const TokenId>;

size_t common_length(Run a, Run b) {
  const size_t length = std::min(a.size(), b.size());
  return static_cast<size_t>(std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(length), b.begin()).first -
                             a.begin());
}

// The first child whose run is not less than `run`.
size_t lower_bound(const Node& node, Run run) {
  const auto found =
      std::lower_bound(node.children.begin(), node.children.end(), run, [](const auto& child, Run wanted) {
        return std::lexicographical_compare(child->run.begin(), child->run.end(), wanted.begin(), wanted.end());
      });
  return static_cast<size_t>(found - node.children.begin());
}

struct Nearest {
  Node* child = nullptr;
  size_t common = 0;
};

// The child that shares the longest beginning with `run`: a neighbour of its place in the order.
Nearest nearest_child(const Node& node, Run run) {
  Nearest best;
  const size_t position = lower_bound(node, run);
  for (size_t i = position > 0 ? position - 1 : 0; i <= position && i < node.children.size(); ++i) {
    const size_t common = common_length(node.children[i]->run, run);
    if (common > best.common) best = {node.children[i].get(), common};
  }
  return best;
}

}  // namespace

bool RadixPrefixIndex::Older::operator()(const Node* a, const Node* b) const { return a->last_used < b->last_used; }

RadixPrefixIndex::RadixPrefixIndex(BlockAllocator& allocator, int block_tokens)
    : allocator_(allocator), block_tokens_(static_cast<size_t>(block_tokens)) {
  SLUICE_CHECK(block_tokens > 0);
}

// Level by level: a tree may be deeper than a stack of destructors.
RadixPrefixIndex::~RadixPrefixIndex() {
  std::vector<std::unique_ptr<Node>> open;
  for (auto& [salt, root] : roots_) open.push_back(std::move(root));
  while (!open.empty()) {
    const std::unique_ptr<Node> node = std::move(open.back());
    open.pop_back();
    for (auto& child : node->children) open.push_back(std::move(child));
  }
}

const RadixPrefixIndex::Node* RadixPrefixIndex::place(std::string_view salt, Cursor from) const {
  if (from != nullptr) return from;
  const auto root = roots_.find(salt);
  return root == roots_.end() ? nullptr : root->second.get();
}

RadixPrefixIndex::Node* RadixPrefixIndex::place(std::string_view salt, Cursor from) {
  if (from != nullptr) return from;
  auto root = roots_.find(salt);
  if (root == roots_.end()) {
    root = roots_.emplace(std::string(salt), std::make_unique<Node>()).first;
    root->second->salt = root->first;
  }
  return root->second.get();
}

RadixPrefixIndex::Match RadixPrefixIndex::match(std::string_view salt, Cursor from, Run tokens) const {
  Match result;
  result.cursor = from;
  const Node* node = place(salt, from);
  while (node != nullptr && !tokens.empty()) {
    const Nearest nearest = nearest_child(*node, tokens.first(std::min(tokens.size(), block_tokens_)));
    if (nearest.common < block_tokens_) {
      if (nearest.child != nullptr) {
        result.partial = nearest.child;
        result.partial_block = nearest.child->block;
        result.partial_tokens = static_cast<int>(nearest.common);
      }
      break;
    }
    node = result.cursor = nearest.child;
    result.blocks.push_back(nearest.child->block);
    tokens = tokens.subspan(block_tokens_);
  }
  return result;
}

void RadixPrefixIndex::shorten(Match& match, Cursor from, size_t blocks) {
  match.partial = nullptr;
  match.partial_block = -1;
  match.partial_tokens = 0;
  for (; match.blocks.size() > blocks; match.blocks.pop_back()) match.cursor = match.cursor->parent;
  if (blocks == 0) match.cursor = from;
}

void RadixPrefixIndex::mark_used(Node* node) {
  const bool leaf = node->children.empty();
  if (leaf) leaves_.erase(node);
  node->last_used = ++now_;
  if (leaf) leaves_.insert(node);
}

void RadixPrefixIndex::touch(const Match& match) {
  if (match.partial != nullptr) mark_used(match.partial);
  Node* node = match.cursor;
  for (size_t i = 0; i < match.blocks.size(); ++i, node = node->parent) mark_used(node);
}

RadixPrefixIndex::Node* RadixPrefixIndex::add(Node* parent, size_t position, Run run, BlockId block) {
  if (parent->parent != nullptr && parent->children.empty()) leaves_.erase(parent);
  auto node = std::make_unique<Node>();
  node->run.assign(run.begin(), run.end());
  node->block = block;
  node->parent = parent;
  node->last_used = ++now_;
  Node* added = node.get();
  parent->children.insert(parent->children.begin() + static_cast<ptrdiff_t>(position), std::move(node));
  leaves_.insert(added);
  allocator_.set_indexed(block, true);
  ++size_;
  return added;
}

// No sibling can lie between a run and an extension of it, so the leaf keeps its place.
void RadixPrefixIndex::replace(Node* leaf, Run run, BlockId block) {
  leaf->run.assign(run.begin(), run.end());
  if (leaf->block != block) {
    allocator_.set_indexed(block, true);
    allocator_.set_indexed(leaf->block, false);
    leaf->block = block;
  }
  mark_used(leaf);
}

RadixPrefixIndex::Inserted RadixPrefixIndex::insert_full(std::string_view salt, Cursor from, Run run, BlockId block) {
  SLUICE_CHECK(run.size() == block_tokens_);
  Node* parent = place(salt, from);
  const Nearest nearest = nearest_child(*parent, run);
  if (nearest.common == block_tokens_) {
    mark_used(nearest.child);
  } else if (nearest.child != nullptr && nearest.common == nearest.child->run.size()) {
    replace(nearest.child, run, block);
  } else {
    Node* added = add(parent, lower_bound(*parent, run), run, block);
    return {added, block};
  }
  return {nearest.child, nearest.child->block};
}

void RadixPrefixIndex::insert_partial(std::string_view salt, Cursor from, Run run, BlockId block) {
  SLUICE_CHECK(!run.empty() && run.size() < block_tokens_);
  Node* parent = place(salt, from);
  const Nearest nearest = nearest_child(*parent, run);
  if (nearest.common == run.size()) {
    mark_used(nearest.child);
  } else if (nearest.child != nullptr && nearest.common == nearest.child->run.size()) {
    replace(nearest.child, run, block);
  } else {
    add(parent, lower_bound(*parent, run), run, block);
  }
}

void RadixPrefixIndex::remove(Node* leaf) {
  leaves_.erase(leaf);
  allocator_.set_indexed(leaf->block, false);
  --size_;
  Node* parent = leaf->parent;
  const size_t position = lower_bound(*parent, leaf->run);
  parent->children.erase(parent->children.begin() + static_cast<ptrdiff_t>(position));
  if (!parent->children.empty()) return;
  if (parent->parent != nullptr) {
    leaves_.insert(parent);
  } else {
    roots_.erase(roots_.find(parent->salt));
  }
}

bool RadixPrefixIndex::make_room(int blocks) {
  // Removing a leaf may bring its parent into the order, before or after this place; only the former needs a second
  // look.
  auto leaf = leaves_.begin();
  while (allocator_.free() < blocks && leaf != leaves_.end()) {
    if (allocator_.users((*leaf)->block) > 0) {
      ++leaf;
      continue;
    }
    Node* evicted = *leaf++;
    Node* parent = evicted->parent;
    const bool exposes_parent = parent->parent != nullptr && parent->children.size() == 1;
    remove(evicted);
    if (exposes_parent && (leaf == leaves_.end() || Older()(parent, *leaf))) leaf = leaves_.find(parent);
  }
  return allocator_.free() >= blocks;
}

// What is wrong between a node and its children, or nothing.
std::string_view RadixPrefixIndex::fault(const Node& node) const {
  for (size_t i = 0; i < node.children.size(); ++i) {
    const Node& child = *node.children[i];
    if (child.parent != &node) return "a child does not know its parent";
    if (child.run.empty() || child.run.size() > block_tokens_) return "a run has a wrong length";
    if (!child.children.empty() && child.run.size() != block_tokens_) return "a partial block has children";
    if (!allocator_.indexed(child.block)) return "a block is not marked";
    if (i > 0) {
      const std::vector<TokenId>& before = node.children[i - 1]->run;
      if (before >= child.run) return "children are out of order";
      if (common_length(before, child.run) == before.size()) return "a run is a sibling's prefix";
    }
    if (node.parent != nullptr && allocator_.users(node.block) == 0 && allocator_.users(child.block) > 0) {
      return "a used block hangs under an idle one";
    }
    const auto in_order = leaves_.find(const_cast<Node*>(&child));
    if (child.children.empty() != (in_order != leaves_.end() && *in_order == &child))
      return "the order of use is not that of the leaves";
  }
  return {};
}

Result<void> RadixPrefixIndex::audit() const {
  const auto broken = [](const auto&... what) {
    return Error{ErrorCode::kInternal, cat("prefix index: ", what...), {}, {}};
  };
  int nodes = 0;
  size_t leaves = 0;
  std::vector<const Node*> open;
  for (const auto& [salt, root] : roots_) {
    if (root->children.empty()) return broken("an empty root was kept");
    open.push_back(root.get());
  }
  while (!open.empty()) {
    const Node& node = *open.back();
    open.pop_back();
    if (const std::string_view what = fault(node); !what.empty()) return broken(what);
    nodes += static_cast<int>(node.children.size());
    for (const auto& child : node.children) {
      leaves += child->children.empty();
      open.push_back(child.get());
    }
  }
  int indexed = 0;
  for (BlockId block = 0; block < allocator_.capacity(); ++block) indexed += allocator_.indexed(block);
  if (nodes != size_ || nodes != indexed || leaves != leaves_.size()) {
    return broken(nodes, " nodes, ", size_, " counted, ", indexed, " blocks marked; ", leaves, " leaves, ",
                  leaves_.size(), " in order");
  }
  return {};
}

}  // namespace sluice::engine
