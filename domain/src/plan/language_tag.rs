//! Conversion and comparison of language tags.
//!
//! Containers store a language as an ISO 639-2 code of three letters, terminological or bibliographic, or as a tag such
//! as `es-MX`. RFC 5646 §2.2.1 requires the shortest ISO 639 code of a language.

/// Pairs of ISO 639-2 and ISO 639-1 codes, sorted. A language with a bibliographic code is listed twice.
const SHORT_CODES: &str = "aar=aa abk=ab afr=af aka=ak alb=sq amh=am ara=ar arg=an arm=hy asm=as ava=av ave=ae aym=ay aze=az bak=ba \
    bam=bm baq=eu bel=be ben=bn bis=bi bod=bo bos=bs bre=br bul=bg bur=my cat=ca ces=cs cha=ch che=ce chi=zh chu=cu chv=cv cor=kw \
    cos=co cre=cr cym=cy cze=cs dan=da deu=de div=dv dut=nl dzo=dz ell=el eng=en epo=eo est=et eus=eu ewe=ee fao=fo fas=fa fij=fj \
    fin=fi fra=fr fre=fr fry=fy ful=ff geo=ka ger=de gla=gd gle=ga glg=gl glv=gv gre=el grn=gn guj=gu hat=ht hau=ha heb=he her=hz \
    hin=hi hmo=ho hrv=hr hun=hu hye=hy ibo=ig ice=is ido=io iii=ii iku=iu ile=ie ina=ia ind=id ipk=ik isl=is ita=it jav=jv jpn=ja \
    kal=kl kan=kn kas=ks kat=ka kau=kr kaz=kk khm=km kik=ki kin=rw kir=ky kom=kv kon=kg kor=ko kua=kj kur=ku lao=lo lat=la lav=lv \
    lim=li lin=ln lit=lt ltz=lb lub=lu lug=lg mac=mk mah=mh mal=ml mao=mi mar=mr may=ms mkd=mk mlg=mg mlt=mt mon=mn mri=mi msa=ms \
    mya=my nau=na nav=nv nbl=nr nde=nd ndo=ng nep=ne nld=nl nno=nn nob=nb nor=no nya=ny oci=oc oji=oj ori=or orm=om oss=os pan=pa \
    per=fa pli=pi pol=pl por=pt pus=ps que=qu roh=rm ron=ro rum=ro run=rn rus=ru sag=sg san=sa sin=si slk=sk slo=sk slv=sl sme=se \
    smo=sm sna=sn snd=sd som=so sot=st spa=es sqi=sq srd=sc srp=sr ssw=ss sun=su swa=sw swe=sv tah=ty tam=ta tat=tt tel=te tgk=tg \
    tgl=tl tha=th tib=bo tir=ti ton=to tsn=tn tso=ts tuk=tk tur=tr twi=tw uig=ug ukr=uk urd=ur uzb=uz ven=ve vie=vi vol=vo wel=cy \
    wln=wa wol=wo xho=xh yid=yi yor=yo zha=za zho=zh zul=zu";

/// Returns the language tag (RFC 5646) of an ISO 639 code.
pub(super) fn tag(code: &str) -> String {
    let mut pairs = SHORT_CODES.split_whitespace().filter_map(|pair| pair.split_once('='));
    let short = pairs.find(|(long, _)| *long == code).map(|(_, short)| short);
    short.unwrap_or(code).to_owned()
}

/// Returns `true` if two tags mean the same language, independent of the kind of ISO 639 code. Regions and scripts are
/// compared only if both tags have them: `es` matches `es-MX`.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.to_ascii_lowercase(), other.to_ascii_lowercase());
    let split = |whole: &str| -> (String, Option<String>) {
        match whole.split_once(['-', '_']) {
            Some((language, rest)) => (tag(language), Some(rest.replace('_', "-"))),
            None => (tag(whole), None),
        }
    };
    let ((one, subtags), (other, other_subtags)) = (split(&one), split(&other));
    one == other && (subtags.is_none() || other_subtags.is_none() || subtags == other_subtags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_the_shortest_code() {
        for (code, expected) in [
            ("eng", "en"),
            ("ger", "de"),
            ("deu", "de"),
            ("es", "es"),
            ("ast", "ast"),
            ("zul", "zu"),
        ] {
            assert_eq!(tag(code), expected);
        }
        let pairs: Vec<_> = SHORT_CODES.split_whitespace().collect();
        assert!(pairs.iter().all(|pair| pair.len() == 6), "{pairs:?}");
        assert!(pairs.is_sorted());
    }

    #[test]
    fn codes_of_two_and_three_letters_match() {
        for (one, other) in [
            ("es", "spa"),
            ("spa", "es"),
            ("de", "ger"),
            ("ger", "deu"),
            ("EN", "eng"),
            ("es", "es-MX"),
            ("spa", "es_MX"),
            ("pt-BR", "por"),
            ("ast", "ast"),
        ] {
            assert!(is_same(one, other), "{one}, {other}");
        }
        for (one, other) in [("es", "eng"), ("es-MX", "es-ES"), ("e", "eng"), ("und", "eng")] {
            assert!(!is_same(one, other), "{one}, {other}");
        }
    }
}
