/// Common names of modules outside the blocks, and the side of the blocks on which they lie.
///
/// Source: the parameter names of the models in Hugging Face transformers, timm and OpenCLIP.
enum DepthVocabulary {
    /// The side that a name's component tells; `nil` for an unknown or ambiguous word.
    static func place(of component: String) -> NetworkDepth.Place? {
        if behind.contains(component) { return .behind }
        if before.contains(component) { return .before }
        if beforeParts.contains(where: component.contains) { return .before }
        if behindParts.contains(where: component.contains) { return .behind }
        return nil
    }

    /// Whole words whose parts would match the other side, or that are too short to match by parts.
    private static let behind: Set<String> = [
        "cls", "embed_out", "fc", "fc_norm", "last_layer", "ln_f", "ln_final", "logit_bias", "logit_scale", "norm",
        "norm_f", "output", "output_layer", "proj", "project_out", "qa_outputs", "score", "to_logits",
        "text_projection",
        "visual_projection",
    ]
    private static let before: Set<String> = [
        "bn1", "conv1", "conv2", "conv_in", "emb", "ln_pre", "project_in", "shared", "stem", "wpe", "wte",
    ]
    private static let beforeParts = [
        "embed", "embd", "pos_emb", "position", "patch_conv", "relative_pe", "rotary", "cls_token", "class_token",
        "dist_token", "mask_token", "register_token", "conv_stem", "pre_layernorm", "pre_layrnorm", "layernorm_pre",
        "norm_pre", "pre_norm", "feature_extractor", "emb_norm",
    ]
    private static let behindParts = [
        "head", "classifier", "pooler", "final", "logits", "layernorm_post", "post_layernorm", "post_norm", "ln_post",
        "norm_post", "layer_norm", "layernorm", "out_norm", "vocab_", "output_proj", "merger", "projector", "connector",
        "vision_adapter", "norm_out",
    ]
}
