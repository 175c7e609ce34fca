import Testing

@testable import JobPlan

/// Names that all differ for one cause.
@Suite struct NameMappingTests {
    private static let base =
        ["embed.weight", "head.weight"]
        + (0..<30).flatMap { ["layers.\($0).attn.q.weight", "layers.\($0).mlp.weight"] }

    private func mapping(_ rename: (String) -> String) -> NameMapping? {
        NameMapping(from: Self.base, to: Self.base.map(rename))
    }

    @Test(arguments: [
        "module.", "_orig_mod.", "base_model.model.", "model.", "model._orig_mod.module.", "student.net.",
    ])
    func `a beginning that all names have is found, in either set`(beginning: String) {
        let names = Self.base.map { beginning + $0 }
        #expect(NameMapping(from: Self.base, to: names)?.change == .beginning("", beginning))
        #expect(NameMapping(from: Self.base, to: names)?.names.count == Self.base.count)
        #expect(NameMapping(from: names, to: Self.base)?.change == .beginning(beginning, ""))
    }

    @Test func `a beginning is found that the names had already`() {
        let base = Self.base.map { "model." + $0 }
        let names = base.map { "model." + $0 }
        #expect(NameMapping(from: base, to: names)?.change == .beginning("", "model."))
        #expect(NameMapping(from: names, to: base)?.change == .beginning("model.", ""))
    }

    @Test func `another beginning is found`() {
        #expect(mapping { "model.text." + $0 }?.change == .beginning("", "model.text."))
        let other = Self.base.map { "gpt.\($0)" }
        #expect(NameMapping(from: other, to: Self.base.map { "llm.\($0)" })?.change == .beginning("gpt.", "llm."))
    }

    @Test func `another end is found`() {
        let changed = mapping { $0.replacingSuffix("weight", by: "weight_orig") }
        #expect(changed?.change == .end(".weight", ".weight_orig"))
    }

    @Test func `modules between are found wherever they stand`() {
        let wrapped = mapping { name in
            let parts = name.split(separator: ".")
            return (parts.dropLast() + ["_fsdp_wrapped_module"] + parts.suffix(1)).joined(separator: ".")
        }
        #expect(wrapped?.change == .inserted(["_fsdp_wrapped_module"]))
        #expect(wrapped?.names.count == Self.base.count)
    }

    @Test func `a module of another name is found`() {
        let blocks = Self.base.filter { $0.hasPrefix("layers") }
        let renamed = blocks.map { "h" + $0.dropFirst("layers".count) }
        #expect(NameMapping(from: blocks, to: renamed)?.names.count == blocks.count)
    }

    @Test func `nearly all are enough, and a few are not`() {
        var names = Self.base.map { "module." + $0 }
        names[0] = "elsewhere"
        #expect(NameMapping(from: Self.base, to: names)?.names.count == Self.base.count - 1)
        #expect(NameMapping(from: ["a.w", "b.w", "c.w"], to: ["module.a.w", "x.v", "y.u"]) == nil)
        #expect(NameMapping(from: ["a.weight"], to: ["b.weight"]) == nil)
    }

    @Test func `sets without anything in common have no change`() {
        #expect(NameMapping(from: ["a.b", "c.d"], to: ["e.f", "g.h"]) == nil)
        #expect(NameMapping(from: [], to: []) == nil)
    }
}

extension String {
    fileprivate func replacingSuffix(_ old: String, by new: String) -> String {
        hasSuffix(old) ? dropLast(old.count) + new : self
    }
}
