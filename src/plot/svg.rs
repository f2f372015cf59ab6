//! A picture in SVG. Colours are classes with a light and a dark set, so that it reads on either background.

use std::fmt::Write as _;

/// Colours and sizes by class. A viewer that knows no media queries shows the light set.
const STYLE: &str = "\
text{font-family:system-ui,sans-serif;font-size:12px;fill:#1f2328}
.title{font-size:16px;font-weight:600}.bold{font-weight:600}.small{font-size:11px}.muted{fill:#59636e}
.page{fill:#ffffff}.track{fill:#eaeef2}.right{fill:#8fd0b8}.wrong{fill:#f0a79f}.frame,.grid,.line{fill:none}
.frame{stroke:#8c959f}.grid{stroke:#e3e7eb}.line{stroke-width:1.8;stroke-linejoin:round}
.stable{stroke:#0969da}.candidate{stroke:#bc4c00}.limit{stroke:#6e7781}.worse{stroke:#cf222e}.good{stroke:#1a7f37}
.mark{stroke:#6e7781}.dashed{stroke-dasharray:6 4}.dotted{stroke-dasharray:2 3}.dot{stroke:none;opacity:.45}
.dot.stable{fill:#0969da}.dot.candidate{fill:#bc4c00}
@media (prefers-color-scheme:dark){
text{fill:#e6edf3}.muted{fill:#9ea7b3}.page{fill:#0d1117}.track{fill:#262c34}.right{fill:#1f6f54}.wrong{fill:#9b3029}
.frame{stroke:#6e7781}.grid{stroke:#252c35}.stable{stroke:#58a6ff}.candidate{stroke:#f0883e}.limit{stroke:#9ea7b3}
.worse{stroke:#ff7b72}.good{stroke:#3fb950}.mark{stroke:#9ea7b3}.dot.stable{fill:#58a6ff}.dot.candidate{fill:#f0883e}
}";

/// Where a text stands at its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

/// A rectangle in pixels: left, top, width, height.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

impl Area {
    /// The right edge.
    pub fn right(self) -> f64 {
        self.x + self.width
    }

    /// The lower edge.
    pub fn bottom(self) -> f64 {
        self.y + self.height
    }
}

/// A picture that is being drawn.
#[derive(Clone, Debug)]
pub struct Svg {
    head: String,
    body: String,
    clips: usize,
}

impl Svg {
    /// An empty page of this size in pixels; `title` is what it is read out as.
    pub fn new(width: f64, height: f64, title: &str) -> Self {
        let head = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
             height=\"{height:.0}\" role=\"img\">\n<title>{}</title>\n<style>\n{STYLE}\n</style>\n",
            escaped(title)
        );
        let mut page = Self { head, body: String::new(), clips: 0 };
        page.area("page", Area { x: 0.0, y: 0.0, width, height });
        page
    }

    /// A filled or framed rectangle.
    pub fn area(&mut self, class: &str, at: Area) {
        let Area { x, y, width, height } = at;
        self.put(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        ));
    }

    /// A line of text; `y` is its base line.
    pub fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        self.put(format_args!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
        ));
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.put(format_args!(
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        ));
    }

    /// A small disc.
    pub fn dot(&mut self, class: &str, (x, y): (f64, f64)) {
        self.put(format_args!("<circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>"));
    }

    /// A line through points. Fewer than two draw nothing.
    pub fn curve(&mut self, class: &str, points: &[(f64, f64)]) {
        if points.len() < 2 {
            return;
        }
        let mut text = String::new();
        for (x, y) in points {
            // Writing to a String cannot fail.
            let _ = write!(text, "{x:.1},{y:.1} ");
        }
        self.put(format_args!("<polyline class=\"line {class}\" points=\"{}\"/>", text.trim_end()));
    }

    /// What is drawn in `inside` is cut at the edges of an area.
    pub fn clipped(&mut self, at: Area, inside: impl FnOnce(&mut Self)) {
        let Area { x, y, width, height } = at;
        self.clips += 1;
        let id = self.clips;
        self.put(format_args!(
            "<clipPath id=\"c{id}\"><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/></clipPath>\n\
             <g clip-path=\"url(#c{id})\">"
        ));
        inside(self);
        self.put(format_args!("</g>"));
    }

    /// The finished file.
    pub fn finish(self) -> String {
        self.head + &self.body + "</svg>\n"
    }

    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.body, "{element}");
    }
}

fn escaped(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// About how wide a text of a small font is, in pixels: generous, so that what is placed by it never collides.
pub fn width(text: &str) -> f64 {
    6.6 * text.chars().count() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_users_cannot_break_the_file() {
        let mut page = Svg::new(10.0, 10.0, "a<b>&\"c\u{1b}");
        page.text("small", (1.0, 2.0), Anchor::End, "</text><script>");
        let text = page.finish();
        assert!(text.contains("<title>a&lt;b&gt;&amp;&quot;c </title>"), "{text}");
        assert!(!text.contains("<script>"), "{text}");
    }

    #[test]
    fn a_curve_of_one_point_is_none() {
        let mut page = Svg::new(10.0, 10.0, "t");
        page.curve("stable", &[(1.0, 1.0)]);
        assert!(!page.clone().finish().contains("polyline"));
        page.curve("stable", &[(1.0, 1.0), (2.0, 3.04)]);
        assert!(page.finish().contains("points=\"1.0,1.0 2.0,3.0\""));
    }
}
